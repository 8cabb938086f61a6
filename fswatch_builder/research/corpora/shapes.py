"""Made trees of a plain shape, each extreme in one way."""

import os
import random

_SMALL = 64
_PER_DIRECTORY = 10
_FANOUT = 100
_DEPTH = 250
_NAMES = 5
_BIG = 1 << 20


def wide(directory: str, files: int) -> None:
    """Files of 64 bytes, ten a directory, three deep."""
    for number in range(files):
        leaf, name = divmod(number, _PER_DIRECTORY)
        upper, lower = divmod(leaf, _FANOUT)
        parent = f"{directory}/{upper:04}/{lower:02}"
        if name == 0:
            os.makedirs(parent)
        _write(f"{parent}/f{name}", b"%0*d" % (_SMALL, number))


def flat(directory: str, files: int) -> None:
    """All files in one directory."""
    os.mkdir(f"{directory}/all")
    for number in range(files):
        _write(f"{directory}/all/{number:07}", b"%0*d" % (_SMALL, number))


def deep(directory: str, files: int) -> None:
    """Chains of directories, 250 one in the other, a file in each."""
    parent = directory
    for number in range(files):
        chain, level = divmod(number, _DEPTH)
        parent = f"{directory}/{chain:04}" if level == 0 else f"{parent}/d"
        os.mkdir(parent)
        _write(f"{parent}/f", b"%0*d" % (_SMALL, number))


def links(directory: str, files: int) -> None:
    """Every file has five names, in different directories."""
    directories = [f"{directory}/{number:04}" for number in range(max(_NAMES, files // 50))]
    for parent in directories:
        os.mkdir(parent)
    for number in range(files // _NAMES):
        first = f"{directories[number % len(directories)]}/{number:06}"
        _write(first, b"%0*d" % (_SMALL, number))
        for other in range(1, _NAMES):
            os.link(first, f"{directories[(number + other) % len(directories)]}/{number:06}")


def big(directory: str, files: int) -> None:
    """Files of 1 MiB that do not compress."""
    for number in range(files):
        parent = f"{directory}/{number // _FANOUT:03}"
        os.makedirs(parent, exist_ok=True)
        _write(f"{parent}/{number:05}", random.Random(number).randbytes(_BIG))


def _write(path: str, content: bytes) -> None:
    with open(path, "xb", buffering=0) as file:
        file.write(content)
