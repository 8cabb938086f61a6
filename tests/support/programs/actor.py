"""One process of a random program: what it sees, what it holds, and how it takes what an operation works on.

An operation says by numbers what it works on, and takes it from what is there when it is reached. So most of a random
program is possible, and a shortened one stays so. What was really done comes back as lines that read like a shell's.
"""

import contextlib
import ctypes
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

NAMES = ("a", "b", "a-b", "c\udcff", "n\nl")
"""Few, so that they meet; one sorts around the slash, one is not UTF-8, one is two lines."""

MAIN, MOVING, CONFINED, ORPHAN, HOST = range(5)
"""The first process; one that works in a directory which others may move; one chrooted in such a directory; one whose
parent is dead, and that works on when the first has ended; one outside the tree."""

TITLES = ("main", "moving", "confined", "orphan", "host")


class Operation(NamedTuple):
    """What to do, which process does it, two numbers that choose entries, one for a name, and one to play with."""

    action: str
    process: int
    one: int
    other: int
    name: int
    number: int

    @property
    def new_name(self) -> str:
        return NAMES[self.name % len(NAMES)]


Chosen = TypeVar("Chosen")
libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """A C call's result, or its error."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def chosen(among: Sequence[Chosen], number: int) -> Chosen:
    if not among:
        raise FileNotFoundError
    return among[number % len(among)]


@contextlib.contextmanager
def opened(path: str, flags: int) -> Iterator[int]:
    # The open of a FIFO would wait for a reader.
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass
class Listing:
    """What is in a tree, sorted, the root left out."""

    entries: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    symlinks: list[str] = field(default_factory=list)


def listing(root: str) -> Listing:
    """Below ``root``; paths lead there from where the process is."""
    found = Listing()
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        with os.scandir(directory) as scan:
            for entry in scan:
                path = entry.name if directory == "." else f"{directory}/{entry.name}"
                found.entries.append(path)
                if entry.is_symlink():
                    found.symlinks.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    found.directories.append(path)
                    waiting.append(path)
                elif entry.is_file(follow_symlinks=False):
                    found.files.append(path)
    for paths in (found.entries, found.files, found.directories, found.symlinks):
        paths.sort()
    return found


@dataclass
class Actor:
    """Paths are relative; the tree is ``.``, or for the host ``inside``."""

    title: str
    mailbox: tuple[socket.socket, socket.socket]
    witness: int
    """A pipe that is told of each inode that gets another name."""
    inside: str = "."
    outside: str = ""
    lines: list[str] = field(default_factory=list)
    held: list[tuple[str, int]] = field(default_factory=list)
    held_directories: list[tuple[str, int]] = field(default_factory=list)
    mappings: list[tuple[str, int]] = field(default_factory=list)
    """Addresses of pages whose descriptors are closed."""

    def say(self, line: str) -> None:
        self.lines.append(f"{self.title}: {line}")

    def look(self) -> Listing:
        return listing(self.inside)

    def entry(self, number: int) -> str:
        return chosen(self.look().entries, number)

    def file(self, number: int) -> str:
        return chosen(self.look().files, number)

    def directory(self, number: int) -> str:
        return chosen([self.inside, *self.look().directories], number)

    def below(self, number: int) -> str:
        """A directory that is not the tree itself."""
        return chosen(self.look().directories, number)

    def place(self, number: int, name: str) -> str:
        """A name in a directory. It may be taken."""
        directory = self.directory(number)
        return name if directory == "." else f"{directory}/{name}"

    def will_link(self, path: str) -> None:
        """To be called before ``path`` gets another name: a process that is killed can't tell any more."""
        os.write(self.witness, os.lstat(path).st_ino.to_bytes(8, "little"))


Action = Callable[[Actor, Operation], None]
ACTIONS: dict[str, Action] = {}


def action(function: Action) -> Action:
    ACTIONS[function.__name__] = function
    return function
