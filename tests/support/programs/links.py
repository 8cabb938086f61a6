"""Hard links, and files that are born without a name."""

import os
import shutil
import stat

from tests.support.programs.actor import Actor, Operation, action, checked, chosen, libc, opened
from tests.support.programs.contents import rewritten

_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000


def linked(file: int, path: str) -> None:
    """The file behind a descriptor gets a name."""
    checked(libc.linkat(file, b"", _AT_FDCWD, os.fsencode(path), _AT_EMPTY_PATH))


def _of_several(actor: Actor, number: int) -> str:
    return chosen([path for path in actor.look().files if os.lstat(path).st_nlink > 1], number)


@action
def link(actor: Actor, take: Operation) -> None:
    path, new = actor.entry(take.one), actor.place(take.other, take.new_name)
    actor.will_link(path)
    os.link(path, new, follow_symlinks=False)
    actor.say(f"ln -P {path!r} {new!r}")


@action
def link_over(actor: Actor, take: Operation) -> None:
    path, target = actor.file(take.one), actor.entry(take.other)
    actor.will_link(path)
    os.link(path, "link-over")
    try:
        os.rename("link-over", target)
    finally:
        if os.path.lexists("link-over"):  # it failed, or both were names of one inode: rename(2) does nothing then
            os.unlink("link-over")
    actor.say(f"ln -f {path!r} {target!r}")


@action
def link_write_and_unlink(actor: Actor, take: Operation) -> None:
    """What no event under a lasting path tells."""
    path, new = actor.file(take.one), actor.place(take.other, take.new_name)
    actor.will_link(path)
    os.link(path, new)
    rewritten(new, bytes([take.number]) * 3, keep_times=bool(take.number % 2))
    os.unlink(new)
    actor.say(f"ln {path!r} {new!r}; write {take.number}s to {new!r}, keep_times={take.number % 2}; rm {new!r}")


@action
def write_to_one_of_several_names(actor: Actor, take: Operation) -> None:
    path = _of_several(actor, take.one)
    rewritten(path, bytes([take.number]) * 4, keep_times=bool(take.other % 2))
    actor.say(f"write {take.number}s to {path!r}, which has other names, keep_times={take.other % 2}")


@action
def unlink_one_of_several_names(actor: Actor, take: Operation) -> None:
    path = _of_several(actor, take.one)
    if take.other % 2:
        rewritten(path, b"last words", keep_times=True)
        actor.say(f"write to {path!r}, time kept")
    os.unlink(path)
    actor.say(f"rm {path!r}, which has other names")


@action
def split_from_its_other_names(actor: Actor, take: Operation) -> None:
    path = _of_several(actor, take.one) if take.other % 2 else actor.file(take.one)
    shutil.copy2(path, "split")
    os.rename("split", path)
    actor.say(f"cp -p {path!r} split; mv split {path!r}")


@action
def join_equal_files(actor: Actor, take: Operation) -> None:
    """As hardlink(1) does."""
    path, new = actor.file(take.one), actor.place(take.other, take.new_name)
    shutil.copy2(path, new)
    actor.say(f"cp -p {path!r} {new!r}")
    os.unlink(new)
    actor.will_link(path)
    os.link(path, new)
    actor.say(f"ln -f {path!r} {new!r}")


@action
def link_a_directory_of_files(actor: Actor, take: Operation) -> None:
    path, new = actor.below(take.one), actor.place(take.other, take.new_name)
    os.mkdir(new)
    actor.say(f"mkdir {new!r}")
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        if stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            actor.will_link(entry.path)
            os.link(entry.path, f"{new}/{entry.name}")
            actor.say(f"ln {entry.path!r} {new!r}")


@action
def be_born_without_a_name(actor: Actor, take: Operation) -> None:
    path = actor.place(take.one, take.new_name)
    with opened(os.path.dirname(path) or ".", os.O_TMPFILE | os.O_RDWR) as file:
        os.write(file, b"t" * take.number)
        linked(file, path)
        os.write(file, b"later")
        if take.other % 2:
            actor.held.append((path, os.dup(file)))
    actor.say(f"O_TMPFILE, linkat {path!r}, write {take.number}, held={take.other % 2}")


@action
def link_by_descriptor(actor: Actor, take: Operation) -> None:
    path, new = actor.file(take.one), actor.place(take.other, take.new_name)
    with opened(path, os.O_WRONLY | os.O_APPEND) as file:
        actor.will_link(path)
        linked(file, new)
        os.write(file, b"l" * (take.number % 3))
    actor.say(f"open {path!r}, linkat it to {new!r}, write {take.number % 3}")
