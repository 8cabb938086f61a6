"""The regular files of a tree, in an order that does not depend on the file system."""

import os
import random
from collections.abc import Iterator


def files_of(tree: str) -> list[str]:
    """Paths relative to ``tree``, sorted."""
    return sorted(_walk(tree, ""))


def drawn_files(tree: str, count: int, seed: int = 1) -> list[str]:
    """``count`` of them, or all, drawn at random, the same ones every time."""
    found = files_of(tree)
    return sorted(random.Random(seed).sample(found, min(count, len(found))))


def write_list(path: str, names: list[str]) -> str:
    """A file for xargs -0, and its path."""
    with open(path, "wb") as file:
        file.writelines(os.fsencode(name) + b"\0" for name in names)
    return path


def _walk(tree: str, below: str) -> Iterator[str]:
    with os.scandir(os.path.join(tree, below)) as listing:
        for entry in listing:
            path = os.path.join(below, entry.name)
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(tree, path)
            elif entry.is_file(follow_symlinks=False):
                yield path
