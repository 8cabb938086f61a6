"""Doing a COPY or ADD: what its words take is written to the root file system, word after word."""

import os
from collections.abc import Sequence
from itertools import groupby

from msgspec import Struct

from fswatch_builder._native import ArchiveError, Copied, Mode, Rootfs, add_archive, copy
from fswatch_builder.build.sources import Sources
from fswatch_builder.build.trees import Selection, Tree
from fswatch_builder.build.worksite import Worksite
from fswatch_builder.errors import BuildContextError, DockerfileError
from fswatch_builder.model.step import CopyAction
from fswatch_builder.oci.compression import decompressed, is_archive
from fswatch_builder.oci.decoding import CompressionError
from fswatch_builder.oci.limits import UnpackLimits
from fswatch_builder.runtime.user import resolve_owner


class Placed(Struct, frozen=True):
    """What was written: sorted paths."""

    paths: list[bytes]
    warnings: list[str]


def place(action: CopyAction, sources: Sources, site: Worksite) -> Placed:
    """Writes it. After an error the destination is undefined. Raises BuildContextError, DockerfileError, OSError."""
    how = _How(site.rootfs, os.fsencode(action.dest), _owner(action, site.rootfs), _mode(action.chmod), sources.limits)
    written: list[Copied] = []
    notes: list[str] = []
    for is_local, run in groupby(action.words, lambda word: isinstance(word, str)):
        if is_local:
            words = [word for word in run if isinstance(word, str)]
            tree = sources.tree(action.source)
            if not action.parents:
                notes += tree.taken_by_nothing(words)
            for selection in tree.select(words, action.exclude, parents=action.parents):
                written += how.take(tree, selection, extract=action.extracts(words[0]) and selection.include is None)
        else:
            for word in run:
                if not isinstance(word, str):
                    tree = sources.fetched(word)
                    written += how.take(tree, tree.everything(action.exclude), extract=action.extracts(word))
    if action.documents:
        tree = _documents(site, action.documents)
        names = tuple(os.fsencode(name) for name, _ in action.documents)
        written += how.take(tree, Selection(names), extract=False)
    if action.link:
        # They may be there already, below, where nobody looks: as root's they do the least harm (moby/buildkit#3912).
        for path in sorted({path for copied in written for path in copied.led_through}):
            site.rootfs.own_directory(path, 0, 0)
    return Placed(
        paths=sorted({path for copied in written for path in copied.paths}),
        warnings=[*notes, *(warning for copied in written for warning in copied.warnings)],
    )


class _How(Struct, frozen=True):
    rootfs: Rootfs
    dest: bytes
    owner: tuple[int, int] | None
    mode: Mode | None
    limits: UnpackLimits

    def take(self, tree: Tree, selection: Selection, *, extract: bool) -> list[Copied]:
        """The paths in their order, neighbours that are treated alike taken together: extracted or copied."""
        written: list[Copied] = []
        for extracts, paths in groupby(selection.paths, lambda path: extract and _is_archive(tree, path)):
            if extracts:
                written += [self._extract(tree, path) for path in paths]
            else:
                written.append(self._copy(tree, list(paths), selection))
        return written

    def _copy(self, tree: Tree, paths: Sequence[bytes], selection: Selection) -> Copied:
        return copy(
            tree.rootfs,
            paths,
            self.rootfs,
            self.dest,
            ignore=tree.ignore,
            include=selection.include,
            exclude=selection.exclude,
            owner=(0, 0) if self.owner is None and tree.is_context else self.owner,
            mode=self.mode,
            context=tree.is_context,
        )

    def _extract(self, tree: Tree, path: bytes) -> Copied:
        descriptor = tree.open(path)
        most = self.limits.bytes_from(os.fstat(descriptor).st_size)
        try:
            with decompressed(descriptor, max_bytes=most) as plain:
                return add_archive(
                    self.rootfs,
                    self.dest,
                    plain,
                    owner=self.owner,
                    max_bytes=most,
                    max_entries=self.limits.entries,
                )
        except (ArchiveError, CompressionError) as error:
            raise BuildContextError(f"/{os.fsdecode(path)} cannot be unpacked: {error}") from error
        finally:
            os.close(descriptor)


def _owner(action: CopyAction, rootfs: Rootfs) -> tuple[int, int] | None:
    if action.chown is None:
        return None
    try:
        return resolve_owner(rootfs, action.chown)
    except DockerfileError as error:
        if action.link:
            error.hint = "--link does not look at what is below, its passwd included: give numbers"
        raise


def _mode(text: str | None) -> Mode | None:
    if text is None:
        return None
    try:
        return Mode(text)
    except ValueError as error:
        raise DockerfileError(
            f"invalid chmod parameter: {text!r}",
            hint="use an octal mode between 0 and 07777, or a symbolic one like u+x",
        ) from error


def _is_archive(tree: Tree, path: bytes) -> bool:
    entry = tree.rootfs.entry(tree.rootfs.resolve(path))
    if entry is None or entry.kind != "file" or entry.size == 0:
        return False
    descriptor = tree.open(path)
    try:
        return is_archive(descriptor)
    finally:
        os.close(descriptor)


def _documents(site: Worksite, documents: Sequence[tuple[str, str]]) -> Tree:
    """Heredocs as files, in a directory of their own."""
    from tempfile import mkdtemp

    directory = mkdtemp(prefix="heredoc-", dir=site.directory)
    for name, text in documents:
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
    return Tree(Rootfs(os.fsencode(directory)), None, is_context=True)
