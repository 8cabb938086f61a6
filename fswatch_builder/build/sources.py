"""Where COPY and ADD take files from, each opened once and only when it is needed."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from fswatch_builder._native import IgnorePatterns, Rootfs, content_digest, expand
from fswatch_builder.build.keys import selection_key
from fswatch_builder.build.worksite import Worksite
from fswatch_builder.errors import BaseImageError, BuildContextError, RegistryError
from fswatch_builder.model.image import Image
from fswatch_builder.model.plan import CopySource, ImageSource, MainContext, NamedContext, StageSource
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.reference import IMAGE_SCHEME
from fswatch_builder.oci.store import Store

_CONTENT = "copy content"


@dataclass(frozen=True, slots=True)
class Tree:
    """An open source. Files of a context become root's; those of a stage or image keep their owners.

    ``workspaces`` is the relative path of the store's root file systems, where the store lies in this very directory.
    """

    rootfs: Rootfs
    ignore: IgnorePatterns | None
    is_context: bool
    workspaces: bytes | None = None

    def expand(self, patterns: Sequence[str]) -> list[bytes]:
        """The paths that ``patterns`` name, in the order of the patterns. Raises BuildContextError for one that is
        missing, or would take in the local store.
        """
        found: list[bytes] = []
        for pattern in patterns:
            try:
                found += expand(self.rootfs, os.fsencode(pattern), ignore=self.ignore)
            except FileNotFoundError as error:
                shown = "/" + pattern.strip("/")
                raise BuildContextError(f'"{shown}": not found', hint=self._hint(pattern)) from error
            except ValueError as error:
                raise BuildContextError(f"cannot use {pattern!r} as a source: {error}") from error
        for path in found:
            self._leave_the_store_alone(path)
        return list(dict.fromkeys(found))

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

    def _hint(self, pattern: str) -> str:
        place = os.fsdecode(self.rootfs.path)
        if self.ignore is not None and self.rootfs.entry(os.fsencode(pattern.strip("/"))) is not None:
            return f"it is in {place}, but the ignore file excludes it"
        return "paths are relative to the root of the build context" if self.is_context else "it is not in the source"


@dataclass(frozen=True, slots=True)
class Built:
    """What a finished stage offers: its image, and its rootfs if there was need for one."""

    image: Image
    site: Worksite


class Sources:
    """All sources of one build. A context manager."""

    def __init__(
        self,
        store: Store,
        context: str,
        dockerfile: str,
        platform: Platform,
        stages: Mapping[int, Built],
        *,
        ignorefile: str | None = None,
        refresh: bool = False,
    ) -> None:
        """``stages`` is filled while the build goes on. ``ignorefile`` goes before those of Dockerfile and context.

        With ``refresh`` an image is asked for at its registry, whether or not the store has one of that name.
        """
        self._store = store
        self._context = context
        self._dockerfile = dockerfile
        self._platform = platform
        self._stages = stages
        self._ignorefile = ignorefile
        self._refresh = refresh
        self._stack = ExitStack()
        self._trees: dict[CopySource, Tree] = {}
        self._images: dict[tuple[str, Platform], Image] = {}

    def __enter__(self) -> "Sources":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def ignored(self) -> list[bytes]:
        """The patterns of the build context's ignore file. Raises BuildContextError."""
        from fswatch_builder.dockerfile.ignorefile import read_ignore

        named = None if self._ignorefile is None else os.fsencode(self._ignorefile)
        return read_ignore(os.fsencode(self._context), os.fsencode(self._dockerfile), named)

    def image(self, source: NamedContext | ImageSource, platform: Platform) -> Image:
        """The image that a source stands for.

        A Dockerfile names images and nothing else: its ``FROM /etc`` must not reach a directory of the host, nor its
        ``FROM oci-layout://...`` a layout. What a named context means comes from the command line, so that may.
        """
        value = source.value if isinstance(source, NamedContext) else IMAGE_SCHEME + source.reference
        key = (value, platform)
        if key not in self._images:
            from fswatch_builder.build.bases import bases, refreshed

            find = refreshed if self._refresh else bases
            self._images[key] = self._store.load_image(find(value, self._store, platform))
        return self._images[key]

    def content(self, source: CopySource, patterns: Sequence[str]) -> bytes:
        """The digest over what a COPY takes: names, kinds, modes, bytes, and owners where they are kept.

        For a stage or an image it is remembered with the chain ID, so that an unchanged one need not be unpacked again.
        """
        image = self._image_of(source)
        if image is None:
            return self._read_content(source, patterns)
        key = selection_key(image.chain_id, patterns)
        known = self._store.recall(_CONTENT, key)
        if known is None:
            known = self._read_content(source, patterns)
            self._store.note(_CONTENT, key, known)
        return known

    def _read_content(self, source: CopySource, patterns: Sequence[str]) -> bytes:
        tree = self.tree(source)
        return content_digest(
            tree.rootfs, tree.expand(patterns), ignore=tree.ignore, owners=not tree.is_context, context=tree.is_context
        )

    def tree(self, source: CopySource) -> Tree:
        """The open source. A stage or image is unpacked now if it was not yet."""
        if isinstance(source, StageSource):
            built = self._stages[source.index]
            built.site.bring_to(built.image.layers)
            return Tree(built.site.rootfs, None, is_context=False)
        if source not in self._trees:
            self._trees[source] = self._open(source)
        return self._trees[source]

    def _open(self, source: CopySource) -> Tree:
        if isinstance(source, MainContext):
            return self._directory(self._context, self.ignored())
        if isinstance(source, NamedContext) and os.path.isdir(source.value):
            from fswatch_builder.dockerfile.ignorefile import read_ignore

            place = os.fsencode(source.value)
            return self._directory(source.value, read_ignore(place, place + b"/"))  # only its .dockerignore counts
        image = self._image_of(source)
        if image is None:
            raise RuntimeError(f"no image for {source}")
        site = self._stack.enter_context(Worksite(self._store, "scan"))
        site.bring_to(image.layers)
        return Tree(site.rootfs, None, is_context=False)

    def _image_of(self, source: CopySource) -> Image | None:
        match source:
            case StageSource(index=index):
                return self._stages[index].image
            case ImageSource(reference=reference):
                try:
                    return self.image(source, self._platform)
                except (BaseImageError, RegistryError) as error:
                    error.hint = f"no earlier stage is called {reference}, so it is taken for an image"
                    raise
            case NamedContext(value=value):
                return None if os.path.isdir(value) else self.image(source, self._platform)
            case _:
                return None

    def _directory(self, path: str, ignored: Sequence[bytes]) -> Tree:
        workspaces = os.path.relpath(os.path.realpath(self._store.workspaces), os.path.realpath(path))
        try:
            return Tree(
                rootfs=Rootfs(os.fsencode(path)),
                ignore=IgnorePatterns(ignored) if ignored else None,
                is_context=True,
                workspaces=None if workspaces.split("/")[0] == ".." else os.fsencode(workspaces),
            )
        except ValueError as error:
            raise BuildContextError(f"the ignore file of {path} cannot be used: {error}") from error
        except OSError as error:
            raise BuildContextError(f"the build context {path} cannot be read: {error.strerror}") from error


def _is_within(path: bytes, directory: bytes) -> bool:
    return directory in (b"", path) or path.startswith(directory + b"/")
