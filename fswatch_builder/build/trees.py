"""An open tree of files that COPY and ADD take from, and what the words of an instruction take of it."""

import os
from collections.abc import Sequence
from posixpath import normpath

from msgspec import Struct

from fswatch_builder._native import IgnorePatterns, KnownContents, Rootfs, expand
from fswatch_builder.errors import BuildContextError

_WILDCARDS = frozenset("*?[\\")
_PIVOT = "/./"


class Selection(Struct, frozen=True):
    """Paths of a tree: of a directory what is in it, matches ``include``, if there is one, and not ``exclude``."""

    paths: tuple[bytes, ...]
    include: IgnorePatterns | None = None
    exclude: IgnorePatterns | None = None


class Tree(Struct, frozen=True):
    """An open source. Files of a context become root's; those of a stage or image keep their owners.

    ``workspaces`` is the relative path of the store's root file systems, where the store lies in this very
    directory; ``lone`` the file that the tree stands for, if it is not a directory; ``patterns`` are those of
    ``ignore``; ``known`` is what was read of it before.
    """

    rootfs: Rootfs
    ignore: IgnorePatterns | None
    is_context: bool
    workspaces: bytes | None = None
    lone: bytes | None = None
    patterns: tuple[bytes, ...] = ()
    known: KnownContents | None = None

    def select(self, words: Sequence[str], exclude: Sequence[str] = (), *, parents: bool = False) -> list[Selection]:
        """What ``words`` take, in order. With ``parents`` each names a directory and, behind ``/./``, what to take
        below it; without ``/./`` that directory is the root of the tree.

        Raises BuildContextError for a word that names something missing, or would take in the local store.
        """
        excluded = _patterns(exclude) if exclude else None
        if not parents:
            paths = [path for word in words for path in self._expand(word, excluded)]
            return [Selection(tuple(paths), None, excluded)]
        return [self._below(word, excluded) for word in words]

    def taken_by_nothing(self, words: Sequence[str]) -> list[str]:
        """What to say of patterns that match nothing: no error, but seldom meant."""
        notes: list[str] = []
        for word in words:
            if _WILDCARDS & {*word} and not self._expand(word, None):
                hidden = expand(self.rootfs, os.fsencode(word)) if self.ignore is not None else []
                why = f": the ignore file excludes the {len(hidden)} that it names" if hidden else ""
                notes.append(f"{word} matches nothing{why}")
        return notes

    def everything(self, exclude: Sequence[str]) -> Selection:
        """All of a tree that was fetched: the one file, or the directory."""
        excluded = _patterns(exclude) if exclude else None
        return Selection((b"",) if self.lone is None else (self.lone,), None, excluded)

    def open(self, path: bytes) -> int:
        """A descriptor of a regular file, links followed inside the tree. The caller closes it."""
        return self.rootfs.open_file(path)

    def _below(self, word: str, excluded: IgnorePatterns | None) -> Selection:
        above, pivot, below = word.partition(_PIVOT)
        if not pivot:
            above, below = "/", word
        below = normpath("/" + below.lstrip("/")).strip("/")
        if not _WILDCARDS & {*below}:
            self._expand(f"{above}/{below}", None)  # a literal has to be there
        include = None
        if below:
            try:
                include = IgnorePatterns.one(os.fsencode(below))
            except ValueError as error:
                raise BuildContextError(f"cannot use {word!r} as a source: {error}") from error
        return Selection(tuple(self._expand(above, None)), include, excluded)

    def _expand(self, word: str, excluded: IgnorePatterns | None) -> list[bytes]:
        try:
            found = expand(self.rootfs, os.fsencode(word), ignore=self.ignore, exclude=excluded)
        except FileNotFoundError as error:
            shown = "/" + word.strip("/")
            raise BuildContextError(f'"{shown}": not found', hint=self._hint(word)) from error
        except ValueError as error:
            raise BuildContextError(f"cannot use {word!r} as a source: {error}") from error
        for path in found:
            self._leave_the_store_alone(path)
        return found

    def _leave_the_store_alone(self, path: bytes) -> None:
        """A copy of the directory that it is written into would never end."""
        ours = self.workspaces
        if ours is None or (self.ignore is not None and self.ignore.matches(ours)):
            return
        real = self.rootfs.resolve(path)
        if _is_within(ours, real) or _is_within(real, ours):
            place = os.fsdecode(self.rootfs.path)
            raise BuildContextError(
                f'"/{os.fsdecode(path)}" in {place} holds the local store, which would be copied into itself',
                hint="exclude it in .dockerignore, or choose another one with --store",
            )

    def _hint(self, word: str) -> str:
        path = os.fsencode(normpath("/" + word).strip("/"))
        entry = self.rootfs.entry(path)
        if entry is not None and self.ignore is not None and self.ignore.matches(path):
            pattern = os.fsdecode(self._excluding(path))
            return f"it is in {os.fsdecode(self.rootfs.path)}, but the ignore file excludes it: {pattern}"
        if entry is not None and entry.kind == "symlink":
            return f"it is a link to {os.fsdecode(entry.target)}, which is not in the source"
        return "paths are relative to the root of the build context" if self.is_context else "it is not in the source"

    def _excluding(self, path: bytes) -> bytes:
        """The last pattern that hides a path which is hidden."""
        hiding = (
            one for one in reversed(self.patterns) if not one.startswith(b"!") and IgnorePatterns([one]).matches(path)
        )
        return next(hiding, b"")


def _patterns(exclude: Sequence[str]) -> IgnorePatterns:
    try:
        return IgnorePatterns([os.fsencode(pattern) for pattern in exclude])
    except ValueError as error:
        raise BuildContextError(f"--exclude cannot be used: {error}") from error


def _is_within(path: bytes, directory: bytes) -> bool:
    return directory in (b"", path) or path.startswith(directory + b"/")
