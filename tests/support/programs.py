"""Random file system programs: what a RUN may do, drawn as numbers and done in a process of its own, chrooted.

An operation takes what it works on from what is there when it is reached, so that most of a random program is possible
and a shortened one stays so. What was really done comes back as lines that read like a shell script.
"""

import contextlib
import ctypes
import json
import mmap
import os
import shutil
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

NAMES = ["a", "b", "a-b", "c\udcff"]
"""Few, so that they meet; one sorts around the slash, one is not UTF-8."""

Operation = tuple[str, int, int, int, int]
"""What to do, two numbers that choose entries, one that chooses a name, and one to play with."""

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _AT_EMPTY_PATH, _RENAME_EXCHANGE = -100, 0x1000, 2


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def chosen(paths: Sequence[str], number: int) -> str:
    if not paths:
        raise FileNotFoundError
    return paths[number % len(paths)]


@dataclass
class Program:
    """One process's work below ``/``, which is the tree. Paths are relative; the root is ``.``."""

    log: list[str] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    linked: set[int] = field(default_factory=set)
    unseen: set[tuple[int, str]] = field(default_factory=set)

    def run(self, operations: Sequence[Operation]) -> None:
        self.before = {path: os.lstat(path).st_ino for path in self.entries()}
        for action, one, other, name, number in operations:
            # What is not possible in this tree does nothing, as in a shell script without -e.
            with contextlib.suppress(OSError):
                ACTIONS[action](self, one, other, NAMES[name % len(NAMES)], number)
        self.show_known_holes()

    def show_known_holes(self) -> None:
        """Makes an event for each inode that was changed through a link which this program made and removed again.

        These need the witness of a sandbox, which this process has not: tests/conformance/test_vanished_links.py.
        """
        for inode, path in sorted(self.unseen):
            names = [entry for entry in self.entries() if os.lstat(entry).st_ino == inode]
            if names and path not in names:
                self.say(f"touch --reference={names[0]!r} {names[0]!r}")
                times = os.lstat(names[0])
                os.utime(names[0], ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)

    def say(self, line: str) -> None:
        self.log.append(line)

    def changed(self, path: str) -> None:
        """To be called after a change of a file's content or metadata through ``path``."""
        inode = os.lstat(path).st_ino
        if inode in self.linked and self.before.get(path) != inode:
            self.unseen.add((inode, path))

    def entries(self, accept: Callable[[int], bool] = lambda _: True) -> list[str]:
        found = []
        for directory, directories, files in os.walk("."):
            found += [os.path.normpath(os.path.join(directory, name)) for name in directories + files]
        return sorted(path for path in found if accept(os.lstat(path).st_mode))

    def entry(self, number: int) -> str:
        return chosen(self.entries(), number)

    def file(self, number: int) -> str:
        return chosen(self.entries(stat.S_ISREG), number)

    def directory(self, number: int) -> str:
        return chosen([".", *self.entries(stat.S_ISDIR)], number)

    def place(self, number: int, name: str) -> str:
        """A name in a directory. It may be taken."""
        return os.path.normpath(os.path.join(self.directory(number), name))


@contextlib.contextmanager
def opened(path: str, flags: int) -> Iterator[int]:
    # The open of a FIFO would wait for a reader.
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


Action = Callable[[Program, int, int, str, int], None]
ACTIONS: dict[str, Action] = {}


def action(function: Action) -> Action:
    ACTIONS[function.__name__] = function
    return function


@action
def create(program: Program, one: int, _: int, name: str, number: int) -> None:
    path = program.place(one, name)
    with opened(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY) as file:
        os.write(file, b"x" * number)
    program.say(f"create {path!r} size={number}")


@action
def append(program: Program, one: int, *_: object) -> None:
    path = program.file(one)
    with opened(path, os.O_WRONLY | os.O_APPEND) as file:
        os.write(file, b"+")
    program.changed(path)
    program.say(f"echo -n + >> {path!r}")


def _rewrite(program: Program, path: str, content: bytes, *, keep_times: bool) -> None:
    times = os.stat(path)
    with opened(path, os.O_WRONLY) as file:
        os.write(file, content)
    if keep_times:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    program.changed(path)


@action
def rewrite(program: Program, one: int, other: int, _: str, number: int) -> None:
    path = program.file(one)
    keep_times = bool(other % 2)
    _rewrite(program, path, bytes([number]) * os.stat(path).st_size, keep_times=keep_times)
    program.say(f"rewrite {path!r} with {number}s, {keep_times=}")


@action
def rewrite_equal(program: Program, one: int, other: int, *_: object) -> None:
    path = program.file(one)
    keep_times = bool(other % 2)
    with opened(path, os.O_RDONLY) as file:
        content = os.read(file, 1 << 16)
    _rewrite(program, path, content, keep_times=keep_times)
    program.say(f"rewrite {path!r} with what it holds, {keep_times=}")


@action
def truncate(program: Program, one: int, other: int, _: str, number: int) -> None:
    path = program.file(one)
    size = os.stat(path).st_size if other % 3 == 0 else number
    os.truncate(path, size)
    program.changed(path)
    program.say(f"truncate -s {size} {path!r}")


@action
def store(program: Program, one: int, _: int, __: str, number: int) -> None:
    path = program.file(one)
    with opened(path, os.O_RDWR) as file, contextlib.suppress(ValueError):  # an empty file cannot be mapped
        with mmap.mmap(file, 0) as mapped:
            mapped[0] = number
        program.changed(path)
        program.say(f"store {number} in a mapping of {path!r}")


@action
def chmod(program: Program, one: int, other: int, _: str, number: int) -> None:
    path = program.directory(one) if other % 2 else program.entry(one)
    if stat.S_ISLNK(os.lstat(path).st_mode):
        return
    os.chmod(path, 0o700 | number)
    program.changed(path)
    program.say(f"chmod {0o700 | number:o} {path!r}")


@action
def chown(program: Program, one: int, other: int, _: str, number: int) -> None:
    path = program.entry(one)
    os.chown(path, number, other % 3, follow_symlinks=False)
    program.changed(path)
    program.say(f"chown -h {number}:{other % 3} {path!r}")


@action
def touch(program: Program, one: int, other: int, _: str, number: int) -> None:
    path = program.entry(one)
    nanoseconds = other % 2 + number * 10**9
    os.utime(path, ns=(0, nanoseconds), follow_symlinks=False)
    program.changed(path)
    program.say(f"touch -h {path!r} mtime_ns={nanoseconds}")


@action
def set_attribute(program: Program, one: int, other: int, _: str, number: int) -> None:
    path = program.directory(one) if other % 2 else program.entry(one)
    os.setxattr(path, "user.t", bytes([number]), follow_symlinks=False)
    program.changed(path)
    program.say(f"setfattr user.t={number} {path!r}")


@action
def rename(program: Program, one: int, other: int, name: str, number: int) -> None:
    path = program.entry(one)
    target = program.entry(other) if number % 2 else program.place(other, name)
    os.rename(path, target)
    program.say(f"mv -T {path!r} {target!r}")


@action
def exchange(program: Program, one: int, other: int, *_: object) -> None:
    path, target = program.entry(one), program.entry(other)
    _checked(_libc.renameat2(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE))
    program.say(f"mv --exchange {path!r} {target!r}")


@action
def move_away_write_and_back(program: Program, one: int, other: int, name: str, number: int) -> None:
    path, away = program.directory(one), program.place(other, name)
    os.rename(path, away)
    program.say(f"mv -T {path!r} {away!r}")
    inside = [entry for entry in program.entries(stat.S_ISREG) if entry.startswith(away + "/")]
    if inside:
        written = chosen(inside, number)
        _rewrite(program, written, bytes([number]) * 3, keep_times=True)
        program.say(f"write in {written!r}")
    if number % 4:
        os.rename(away, path)
        program.say(f"mv -T {away!r} {path!r}")


@action
def unlink(program: Program, one: int, *_: object) -> None:
    path = program.entry(one)
    os.unlink(path)
    program.say(f"unlink {path!r}")


@action
def remove_tree(program: Program, one: int, *_: object) -> None:
    path = program.directory(one)
    if path != ".":
        shutil.rmtree(path)
        program.say(f"rm -r {path!r}")


@action
def make_anew(program: Program, one: int, _: int, name: str, number: int) -> None:
    path = program.directory(one)
    if path == ".":
        return
    shutil.rmtree(path)
    os.mkdir(path)
    program.say(f"rm -r {path!r}; mkdir {path!r}")
    if number % 2:
        create(program, ([".", *program.entries(stat.S_ISDIR)]).index(path), 0, name, number)


@action
def mkdir(program: Program, one: int, _: int, name: str, __: int) -> None:
    path = program.place(one, name)
    os.mkdir(path)
    program.say(f"mkdir {path!r}")


@action
def make_tree(program: Program, one: int, other: int, name: str, number: int) -> None:
    path = program.place(one, name)
    deep = os.path.join(path, *NAMES[: 1 + number % 3])
    os.makedirs(deep)
    for below in range(1 + other % 4):
        with opened(os.path.join(deep, f"f{below}"), os.O_CREAT | os.O_WRONLY) as file:
            os.write(file, b"new")
    program.say(f"mkdir -p {deep!r}, {1 + other % 4} files in it")


@action
def symlink(program: Program, one: int, other: int, name: str, _: int) -> None:
    target, path = "/" + program.entry(one), program.place(other, name)
    os.symlink(target, path)
    program.say(f"ln -s {target!r} {path!r}")


@action
def write_through_symlink(program: Program, one: int, *_: object) -> None:
    path = chosen(program.entries(stat.S_ISLNK), one)
    real = os.path.relpath(os.path.realpath(path), os.path.realpath("."))
    with opened(path, os.O_WRONLY | os.O_APPEND) as file:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return
        os.write(file, b"~")
    program.changed(real)
    program.say(f"echo -n ~ >> {path!r} (a link to {real!r})")


@action
def link(program: Program, one: int, other: int, name: str, _: int) -> None:
    path, new = program.entry(one), program.place(other, name)
    os.link(path, new, follow_symlinks=False)
    program.linked.add(os.lstat(new).st_ino)
    program.say(f"ln {path!r} {new!r}")


@action
def link_over(program: Program, one: int, other: int, *_: object) -> None:
    path, target = program.file(one), program.entry(other)
    os.link(path, "link-over")
    try:
        os.rename("link-over", target)
    except OSError:
        os.unlink("link-over")
        raise
    if os.path.lexists("link-over"):  # rename(2) of two names of one inode does nothing
        os.unlink("link-over")
    program.linked.add(os.lstat(target).st_ino)
    program.say(f"ln -f {path!r} {target!r}")


@action
def split(program: Program, one: int, *_: object) -> None:
    path = program.file(one)
    shutil.copy2(path, "split")
    os.rename("split", path)
    program.say(f"cp -p {path!r} split; mv split {path!r}")


@action
def open_temporary_and_link(program: Program, one: int, _: int, name: str, number: int) -> None:
    path = program.place(one, name)
    with opened(os.path.dirname(path) or ".", os.O_TMPFILE | os.O_RDWR) as file:
        os.write(file, b"t" * number)
        _checked(_libc.linkat(file, b"", _AT_FDCWD, os.fsencode(path), _AT_EMPTY_PATH))
        os.write(file, b"later")
    program.say(f"O_TMPFILE, linkat {path!r}, write {number}")


@action
def write_by_old_descriptor(program: Program, one: int, other: int, name: str, number: int) -> None:
    path, target = program.file(one), program.place(other, name)
    with opened(path, os.O_WRONLY | os.O_APPEND) as file:
        os.rename(path, target)
        os.write(file, b"d" * number)
    program.changed(target)
    program.say(f"open {path!r}, mv it to {target!r}, write {number}")


@action
def copy_over(program: Program, one: int, other: int, *_: object) -> None:
    path, target = program.file(one), program.file(other)
    if os.path.samefile(path, target):
        return
    shutil.copyfile(path, target)
    program.changed(target)
    program.say(f"cp {path!r} {target!r}")


@action
def make_special(program: Program, one: int, _: int, name: str, number: int) -> None:
    path = program.place(one, name)
    kind = (stat.S_IFIFO, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR)[number % 4]
    os.mknod(path, kind | 0o644, os.makedev(1, 3))
    program.say(f"mknod {path!r} {stat.filemode(kind)[0]}")


@action
def replace_kind(program: Program, one: int, other: int, _: str, number: int) -> None:
    path = program.entry(one)
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)
    match number % 4:
        case 0:
            os.mkdir(path)
        case 1:
            os.symlink(program.directory(other), path)
        case 2:
            os.mkfifo(path)
        case _:
            with opened(path, os.O_CREAT | os.O_WRONLY) as file:
                os.write(file, b"replaced")
    program.say(f"rm -r {path!r}; now a {('directory', 'symlink', 'fifo', 'file')[number % 4]}")


@action
def flood(program: Program, _: int, __: int, ___: str, number: int) -> None:
    """``number`` events or more that change nothing, in the root directory. Equal ones in a row would be one."""
    two = sorted(os.listdir("."))[:2]
    if len(two) < 2:
        return
    times = [(name, (status.st_atime_ns, status.st_mtime_ns)) for name in two for status in [os.lstat(name)]]
    for _ in range(number // 2 + 1):
        for name, ns in times:
            os.utime(name, ns=ns, follow_symlinks=False)
    program.say(f"{number} events that change nothing")


def plant(root: str) -> None:
    """Something of everything, with old times."""
    for path in ("d", "d/e", "d/e/empty", "u"):
        os.mkdir(os.path.join(root, path))
    for path in ("f", "d/f", "d/e/f", "d/e/g", "u/f", "u/h"):
        with open(os.path.join(root, path), "w") as file:
            file.write(path)
    for path, name in (("f", "d/f-too"), ("f", "u/f-too"), ("d/e/g", "u/g-too"), ("u/h", "u/h-too")):
        os.link(os.path.join(root, path), os.path.join(root, name))
    os.symlink("/d/f", os.path.join(root, "s"))
    os.mkfifo(os.path.join(root, "u/p"))
    for directory, _, files in os.walk(root, topdown=False):
        for name in files:
            os.utime(os.path.join(directory, name), (10**9, 10**9), follow_symlinks=False)
        os.utime(directory, (10**9, 10**9))


class Helper:
    """A process that runs programs, each in a child of its own: all of it is dead when ``run`` returns."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, root: str, operations: Sequence[Operation]) -> list[str]:
        """What was done below ``root``."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([root, operations]).encode() + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        log: list[str] | None = json.loads(answer)
        assert log is not None, "the program failed, see its traceback"
        return log

    def close(self) -> None:
        self._process.communicate()


def _serve() -> None:
    for line in sys.stdin.buffer:
        root, operations = json.loads(line)
        child = os.fork()
        if child == 0:
            os.chroot(root)
            os.chdir("/")
            try:
                program = Program()
                program.run(operations)
                os.write(1, json.dumps(program.log).encode() + b"\n")
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(1)
        if os.waitpid(child, 0)[1] != 0:
            os.write(1, b"null\n")


if __name__ == "__main__":
    _serve()
