"""Directories: made, filled, removed, made anew."""

import os
import shutil

from tests.support.programs.actor import Actor, Operation, action, checked, libc, opened

_OPEN_TREE, _AT_FDCWD, _CLONE = 428, -100, 1  # open_tree(2), the same on all architectures


def written(path: str, content: bytes) -> None:
    with opened(path, os.O_CREAT | os.O_WRONLY) as file:
        os.write(file, content)


@action
def mkdir(actor: Actor, take: Operation) -> None:
    path = actor.place(take.one, take.new_name)
    os.mkdir(path)
    actor.say(f"mkdir {path!r}")


@action
def remove_directory(actor: Actor, take: Operation) -> None:
    path = actor.below(take.one)
    os.rmdir(path)
    actor.say(f"rmdir {path!r}")


@action
def make_tree(actor: Actor, take: Operation) -> None:
    path, files = actor.place(take.one, take.new_name), 1 + take.other % 4
    deep = os.path.join(path, *("a", "b", "a-b")[: 1 + take.number % 3])
    os.makedirs(deep)
    for below in range(files):
        written(f"{deep}/f{below}", b"new")
    actor.say(f"mkdir -p {deep!r}, {files} files in it")


@action
def make_tree_level_by_level(actor: Actor, take: Operation) -> None:
    """With a file on each level, and some of the levels removed again."""
    path = actor.place(take.one, take.new_name)
    levels = ["/".join([path, *("l" * depth)]) for depth in range(2 + take.number)]
    for level in levels:
        os.mkdir(level)
        written(f"{level}/file", os.fsencode(level))
    actor.say(f"mkdir and echo > file, {len(levels)} levels below {path!r}")
    if take.other % 2:
        gone = levels[len(levels) // 2]
        shutil.rmtree(gone)
        actor.say(f"rm -r {gone!r}")


@action
def make_tree_beside_and_move_it_in(actor: Actor, take: Operation) -> None:
    """As installers do: all is ready before it gets its name."""
    path, beside = actor.place(take.one, take.new_name), "beside"
    os.mkdir(beside)
    os.mkdir(f"{beside}/bin")
    written(f"{beside}/bin/tool", b"tool")
    actor.say("mkdir beside beside/bin; echo -n tool > beside/bin/tool")
    os.rename(beside, path)
    actor.say(f"mv -T beside {path!r}")


@action
def copy_tree(actor: Actor, take: Operation) -> None:
    path, target = actor.below(take.one), actor.place(take.other, take.new_name)
    if len([file for file in actor.look().entries if file.startswith(path + "/")]) > 30:
        return
    os.mkdir(target)
    actor.say(f"mkdir {target!r}")
    for name in sorted(os.listdir(path)):
        if os.path.isfile(f"{path}/{name}") and not os.path.islink(f"{path}/{name}"):
            shutil.copy2(f"{path}/{name}", f"{target}/{name}")
            actor.say(f"cp -p '{path}/{name}' {target!r}")


@action
def remove_tree(actor: Actor, take: Operation) -> None:
    path = actor.below(take.one)
    shutil.rmtree(path)
    actor.say(f"rm -r {path!r}")


@action
def make_anew(actor: Actor, take: Operation) -> None:
    path = actor.below(take.one)
    shutil.rmtree(path)
    os.mkdir(path)
    actor.say(f"rm -r {path!r}; mkdir {path!r}")
    if take.number % 2:
        written(f"{path}/{take.new_name}", b"anew")
        actor.say(f"echo -n anew > '{path}/{take.new_name}'")


@action
def make_anew_as_it_was(actor: Actor, take: Operation) -> None:
    """Same names, bytes, modes and times in other inodes."""
    path = actor.below(take.one)
    aside = path + ".aside"
    shutil.copytree(path, aside, symlinks=True, copy_function=_copied)
    actor.say(f"cp -a {path!r} {aside!r}")
    shutil.rmtree(path)
    os.rename(aside, path)
    actor.say(f"rm -r {path!r}; mv {aside!r} {path!r}")


def _copied(source: str, target: str) -> None:
    # Special files are refused: the open of a FIFO would wait for a writer.
    if os.path.isfile(source):
        shutil.copy2(source, target, follow_symlinks=False)


@action
def create_many(actor: Actor, take: Operation) -> None:
    directory = actor.directory(take.one)
    names = [f"{directory}/many{number}" for number in range(5 * take.number)]
    for path in names:
        written(path, b"")
    actor.say(f"touch {directory}/many{{0..{len(names) - 1}}}")
    if take.other % 2:
        for path in names:
            os.unlink(path)
        actor.say(f"rm {directory}/many*")


@action
def write_through_a_bind_mount(actor: Actor, take: Operation) -> None:
    """Of a directory, attached nowhere: no namespace is needed, and nothing is left behind."""
    path = actor.directory(take.one)
    mount = checked(libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _CLONE | os.O_CLOEXEC))
    try:
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mount)
        names = sorted(os.listdir(directory))
        os.close(directory)
        name = names[take.other % len(names)] if names and take.number % 2 else take.new_name
        flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(name, flags, 0o644, dir_fd=mount)
        os.write(file, b"bound")
        os.close(file)
    finally:
        os.close(mount)
    actor.say(f"mount --bind {path!r} and write to {name!r} in it")


@action
def flood(actor: Actor, take: Operation) -> None:
    """``one`` events or more that change nothing, in the tree itself. Equal ones in a row would be one."""
    two = sorted(os.listdir(actor.inside))[:2]
    if len(two) < 2:
        return
    times = [(name, (status.st_atime_ns, status.st_mtime_ns)) for name in two for status in [os.lstat(name)]]
    for _ in range(take.one // 2 + 1):
        for name, ns in times:
            os.utime(name, ns=ns, follow_symlinks=False)
    actor.say(f"{take.one} events that change nothing")
