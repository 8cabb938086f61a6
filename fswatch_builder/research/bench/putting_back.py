"""Puts what a command changed in a tree back to what it was, from a second copy that nobody touches."""

import filecmp
import os
import shutil
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from fswatch_builder._native import remove_tree


class Pristine:
    """The copy that nobody touches."""

    def __init__(self, root: str) -> None:
        self.root = os.fsencode(root)

    def put_back(self, tree: bytes, changed: Iterable[bytes]) -> list[bytes]:
        """``changed`` paths in ``tree`` become what they are here, hard links, owners, modes, attributes and times too.

        Returns all paths that were touched, their directories too. ``OSError``.
        """
        paths = {path for name in changed for path in (name, *self._links.get(_inode(self._at(name)), ()))}
        kept = {path for path in paths if self._may_stay(path, _join(tree, path))}
        for path in paths - kept:
            _remove(_join(tree, path))
        # What is gone goes back with all below it.
        made = sorted({below for path in paths - kept for below in self._below(path)}, key=_parts)
        for path in made:
            self._make(tree, path)
        for path in kept:
            self._write(path, _join(tree, path))
        touched = paths.union(made)
        directories = {path for path in touched if _kind(self._at(path)) == stat.S_IFDIR}
        directories.update(os.path.dirname(path) for path in touched)
        # The deepest first: what is put back below gives a directory a new time.
        for path in sorted(directories, key=_parts, reverse=True):
            if _kind(self._at(path)) == stat.S_IFDIR:
                _make_alike(self._at(path), _join(tree, path))
        return sorted(touched | directories)

    def _at(self, path: bytes) -> bytes:
        return _join(self.root, path)

    @cached_property
    def _links(self) -> Mapping[tuple[int, int] | None, Sequence[bytes]]:
        """All names of every inode that has several: one that goes has to become a link to the others again."""
        names: defaultdict[tuple[int, int] | None, list[bytes]] = defaultdict(list)
        for path in self._below(b""):
            status = os.lstat(self._at(path))
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                names[_inode(self._at(path))].append(path)
        return names

    def _may_stay(self, path: bytes, full: bytes) -> bool:
        """Whether it can be mended where it is: a directory, or a file without other names."""
        kind = _kind(full)
        if kind != _kind(self._at(path)) or kind not in (stat.S_IFDIR, stat.S_IFREG):
            return False
        return kind == stat.S_IFDIR or os.lstat(full).st_nlink == os.lstat(self._at(path)).st_nlink == 1

    def _below(self, path: bytes) -> Iterator[bytes]:
        """``path``, if it is there, and all below it."""
        waiting = [path]
        while waiting:
            here = waiting.pop()
            kind = _kind(self._at(here))
            if kind is None:
                continue
            yield here
            if kind == stat.S_IFDIR:
                waiting.extend(os.path.join(here, name) for name in os.listdir(self._at(here)))

    def _make(self, tree: bytes, path: bytes) -> None:
        source, target = self._at(path), _join(tree, path)
        if _kind(target) is not None:
            return
        status = os.lstat(source)
        for other in self._links.get(_inode(source), ()):
            if other != path and _kind(_join(tree, other)) is not None:
                os.link(_join(tree, other), target, follow_symlinks=False)
                return
        match stat.S_IFMT(status.st_mode):
            case stat.S_IFDIR:
                os.mkdir(target)
                return
            case stat.S_IFREG:
                shutil.copyfile(source, target)
            case stat.S_IFLNK:
                os.symlink(os.readlink(source), target)
            case _:
                os.mknod(target, status.st_mode, status.st_rdev)
        _make_alike(source, target)

    def _write(self, path: bytes, target: bytes) -> None:
        source = self._at(path)
        if _kind(source) == stat.S_IFREG:
            if not filecmp.cmp(source, target, shallow=False):
                shutil.copyfile(source, target)
            _make_alike(source, target)


def _make_alike(source: bytes, target: bytes) -> None:
    """Owner before mode: chown(2) takes set-user-ID bits away."""
    status = os.lstat(source)
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    for name in set(os.listxattr(target, follow_symlinks=False)) - set(os.listxattr(source, follow_symlinks=False)):
        os.removexattr(target, name, follow_symlinks=False)
    shutil.copystat(source, target, follow_symlinks=False)


def _remove(full: bytes) -> None:
    match _kind(full):
        case None:
            pass
        case stat.S_IFDIR:
            remove_tree(full)
        case _:
            os.unlink(full)


def _kind(full: bytes) -> int | None:
    """The type bits of its mode; None if it is not there."""
    try:
        return stat.S_IFMT(os.lstat(full).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _inode(full: bytes) -> tuple[int, int] | None:
    try:
        status = os.lstat(full)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def _join(root: bytes, path: bytes) -> bytes:
    return os.path.join(root, path) if path else root


def _parts(path: bytes) -> list[bytes]:
    return path.split(b"/")
