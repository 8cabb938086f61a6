"""Where COPY and ADD take files from, each opened once and only when it is needed."""

import os
import re
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct

from fswatch_builder import _native
from fswatch_builder._native import IgnorePatterns, KnownContents, Rootfs
from fswatch_builder.build.keys import content_key, selection_key
from fswatch_builder.build.known_contents import known_contents
from fswatch_builder.build.located import Located
from fswatch_builder.build.meter import SILENT, Listener
from fswatch_builder.build.once import Once
from fswatch_builder.build.parts import FILES, Part, Taken
from fswatch_builder.build.trees import Tree
from fswatch_builder.build.worksite import Base, Worksite
from fswatch_builder.errors import BaseImageError, BuildContextError, RegistryError
from fswatch_builder.model.image import Image
from fswatch_builder.model.plan import CopySource, ImageSource, MainContext, NamedContext, StageSource
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.remote import GitTree, Remote
from fswatch_builder.model.step import CopyAction
from fswatch_builder.oci.limits import UnpackLimits
from fswatch_builder.oci.reference import IMAGE_SCHEME
from fswatch_builder.oci.store import Store
from fswatch_builder.remote.address import remote_context
from fswatch_builder.remote.credentials import ANONYMOUS, Credentials

if TYPE_CHECKING:
    from fswatch_builder.build.fetched import Fetched
    from fswatch_builder.build.kept_bases import KeptBases

_CONTENT = "copy content"
_MOUNTED = "mounted content"
_LISTING = " listing, zlib"
_WILDCARD = re.compile(r"[\\*?\[]")


class Built(Struct, frozen=True):
    """What a finished stage offers: its image, and its rootfs if there was need for one."""

    image: Image
    site: Worksite


B_co = TypeVar("B_co", bound=Built, covariant=True)


class Stages(Protocol[B_co]):
    """Where stages are found by their index."""

    def __getitem__(self, index: int, /) -> B_co:
        """One that is finished; another one is waited for."""


class Sources:
    """All sources of one build. A context manager, for any thread."""

    def __init__(
        self,
        store: Store,
        context: str,
        dockerfile: str | None,
        stages: Stages[Built],
        kept: "KeptBases | None" = None,
        tell: Listener = SILENT,
        *,
        ignorefile: str | None = None,
        refresh: bool = False,
        read_all: bool = False,
        credentials: Credentials = ANONYMOUS,
    ) -> None:
        """``dockerfile`` says where an ignore file of its own may be; None: none that is there counts for the context.
        ``ignorefile`` goes before those of Dockerfile and context. Images are unpacked by way of ``kept``, if given;
        ``tell`` hears of it.

        With ``refresh`` an image is asked for at its registry, whether or not the store has one of that name. With
        ``read_all`` every file that is taken from a context is read, whatever is known of it.
        """
        self._store = store
        self._kept = kept
        self._tell = tell
        self._context = context
        self._dockerfile = dockerfile
        self._stages = stages
        self._ignorefile = ignorefile
        self._refresh = refresh
        self._read_all = read_all
        self._stack = ExitStack()
        self._credentials = credentials
        self._opened: Once[None, Fetched] = Once()
        self._trees: Once[CopySource, Tree] = Once()
        self._images: Once[tuple[str, Platform], Image] = Once()
        self._mounted: Once[tuple[CopySource, str], Part] = Once()
        self._copies: Once[tuple[CopySource, bytes], Located] = Once()
        self._alike: dict[tuple[str, str], NamedContext] = {}

    def __enter__(self) -> "Sources":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _fetched(self) -> "Fetched":
        """Loaded when something has an address: what speaks to servers is large, and few builds fetch."""

        def begun() -> "Fetched":
            from fswatch_builder.build.fetched import Fetched

            return self._stack.enter_context(Fetched(self._store, self._credentials))

        return self._opened.get(None, begun)

    def ignored(self) -> list[bytes]:
        """The patterns of the build context's ignore file. Raises BuildContextError."""
        from fswatch_builder.dockerfile.ignorefile import read_ignore

        named = None if self._ignorefile is None else os.fsencode(self._ignorefile)
        beside = None if self._dockerfile is None else os.fsencode(self._dockerfile)
        return read_ignore(os.fsencode(self._context), beside, named)

    @property
    def limits(self) -> UnpackLimits:
        """What archives may unpack to."""
        return self._store.limits

    def knows(self, source: NamedContext | ImageSource) -> bool:
        """Whether the image of a source was looked up before."""
        return (_value(source), source.platform) in self._images

    def image(self, source: NamedContext | ImageSource) -> Image:
        """The image that a source stands for.

        A Dockerfile names images and nothing else: its ``FROM /etc`` must not reach a directory of the host, nor its
        ``FROM oci-layout://...`` a layout. What a named context means comes from the command line, so that may.
        """
        value, platform = _value(source), source.platform
        return self._images.get((value, platform), lambda: self._find(value, _remote(source), platform))

    def _find(self, value: str, remote: Remote | None, platform: Platform) -> Image:
        from fswatch_builder.build.bases import bases, import_tree, refreshed

        if isinstance(remote, GitTree):
            manifest = import_tree(os.fsdecode(self._fetched().tree(remote).rootfs.path), self._store, platform)
        else:
            find = refreshed if self._refresh else bases
            place = value if remote is None else self._fetched().path(remote)
            manifest = find(place, self._store, platform, self._kept)
        return self._store.load_image(manifest)

    def content(self, action: CopyAction) -> Taken:
        """What a COPY or ADD takes. The digest of files is over names, kinds, modes, bytes, and owners where they are
        kept.
        """
        local = [word for word in action.words if isinstance(word, str)]
        parts = [self._local_content(action, local)] if local else []
        paths = [("paths", part.digest) for part in parts]
        in_order = [
            ("path", b"") if isinstance(word, str) else ("fetched", self._fetched().identity(word))
            for word in action.words
        ]
        fetched = [part for word in action.words if not isinstance(word, str) for part in self._fetched().parts(word)]
        return Taken(content_key([*paths, *in_order]), (*parts, *fetched))

    def _local_content(self, action: CopyAction, words: Sequence[str]) -> Part:
        """For a stage or an image it is remembered with the chain ID, so that an unchanged one need not be unpacked
        again.
        """
        image = self._image_of(action.source)
        if image is None:
            return self._read_content(action, words)
        key = selection_key(image.chain_id, words, action.exclude, action.parents)
        return self._recalled(_CONTENT, key) or self._noted(_CONTENT, key, self._read_content(action, words))

    def _recalled(self, kind: str, key: bytes) -> Part | None:
        known = self._store.memory.recall(kind, key)
        if known is None:
            return None
        listing = self._store.memory.recall(kind + _LISTING, key)
        return Part(FILES, known, listing=b"" if listing is None else zlib.decompress(listing))

    def _noted(self, kind: str, key: bytes, part: Part) -> Part:
        self._store.memory.note(kind + _LISTING, key, zlib.compress(part.listing, 1))
        self._store.memory.note(kind, key, part.digest)
        return part

    def _read_content(self, action: CopyAction, words: Sequence[str]) -> Part:
        tree = self.tree(action.source)
        found = [
            _native.content(
                tree.rootfs,
                selection.paths,
                ignore=tree.ignore,
                include=selection.include,
                exclude=selection.exclude,
                owners=not tree.is_context,
                context=tree.is_context,
                known=tree.known,
            )
            for selection in tree.select(words, action.exclude, parents=action.parents)
        ]
        digest = content_key([("selection", one.digest) for one in found])
        return Part(FILES, digest, listing=found[0].listing if len(found) == 1 else b"")

    def fetched(self, source: Remote) -> Tree:
        """The files that ADD names by URL."""
        return self._fetched().tree(source)

    def mounted(self, source: CopySource, path: str) -> Part:
        """The files that a mount brings along; remembered as in `content`, of a context for this build."""
        image = self._image_of(source)
        if image is None:
            place = (self._files(source), path)
            return self._mounted.get(place, lambda: self.located(source, path).part())
        key = selection_key(image.chain_id, [path], (), parents=False)
        return self._recalled(_MOUNTED, key) or self._noted(_MOUNTED, key, self.located(source, path).part())

    def located(self, source: CopySource, path: str) -> Located:
        """What a mount names, its links followed inside the source. Raises BuildContextError where there is none."""
        tree = self.tree(source)
        spelled = path.strip("/")
        if not tree.select([_WILDCARD.sub(r"\\\g<0>", spelled)])[0].paths:
            raise BuildContextError(f'"/{spelled}": not found')
        exact = tree.rootfs.resolve(os.fsencode(spelled))
        entry = tree.rootfs.entry(exact)
        if entry is None or entry.kind not in ("directory", "file"):
            raise BuildContextError(f'"/{spelled}": only a file or a directory can be mounted')
        return Located(tree, exact, entry)

    def settled(self, source: CopySource, path: str) -> tuple[Located, Sequence[str]]:
        """The same, out of reach of whoever changes a context meanwhile: of that it is a copy, made once.

        It is what `mounted` was told of, or a BuildContextError: else a key would stand for other files. With it comes
        what could not be copied as it is.
        """
        located = self.located(source, path)
        if not located.tree.is_context:
            return located, ()
        place = (self._files(source), located.path)
        warnings: list[str] = []

        def copied() -> Located:
            directory = os.path.join(self._stack.enter_context(self._store.workspace()), "copy")
            os.mkdir(directory, 0o755)
            warnings.extend(located.copy(directory).warnings)
            if self.located(source, path).part().digest != self.mounted(source, path).digest:
                raise BuildContextError(f'"{path}" was changed during the build', hint="build again")
            return Located.of(Rootfs(os.fsencode(directory)), located.name)

        return self._copies.get(place, copied), warnings

    def tree(self, source: CopySource) -> Tree:
        """The open source. A stage or image is unpacked now if it was not yet."""
        if isinstance(source, StageSource):
            built = self._stages[source.index]
            built.site.bring_to(built.image.layers)
            return Tree(built.site.rootfs, None, is_context=False)
        place = self._files(source) if self._image_of(source) is None else source
        return self._trees.get(place, lambda: self._open(source))

    def _known(self, context: Rootfs) -> KnownContents:
        return self._stack.enter_context(known_contents(self._store, context, self._tell))

    def _files(self, source: CopySource) -> CopySource:
        """A context of files, for whatever platform it was asked for first: it is the same for all."""
        if not isinstance(source, NamedContext):
            return source
        return self._alike.setdefault((source.name, source.value), source)

    def _open(self, source: CopySource) -> Tree:
        if isinstance(source, MainContext):
            fetched = self._dockerfile is None
            return self._directory(self._context, self.ignored(), meet_again=not fetched)
        if isinstance(source, NamedContext) and os.path.isdir(source.value):
            from fswatch_builder.dockerfile.ignorefile import read_ignore

            place = os.fsencode(source.value)
            ignored = read_ignore(place, place + b"/")  # only its .dockerignore counts
            return self._directory(source.value, ignored, meet_again=True)
        remote = _remote(source)
        if remote is not None:
            return self._fetched().context(remote)
        image = self._image_of(source)
        if image is None:
            raise RuntimeError(f"no image for {source}")
        site = self._stack.enter_context(Worksite(self._store, "scan", self._kept, self._tell))
        site.base = Base(image.layers, source.reference if isinstance(source, ImageSource) else "")
        site.bring_to(image.layers)
        return Tree(site.rootfs, None, is_context=False)

    def _image_of(self, source: CopySource) -> Image | None:
        match source:
            case StageSource(index=index):
                return self._stages[index].image
            case ImageSource(reference=reference):
                try:
                    return self.image(source)
                except (BaseImageError, RegistryError) as error:
                    error.hint = f"no earlier stage is called {reference}, so it is taken for an image"
                    raise
            case NamedContext(value=value):
                if os.path.isdir(value) or _remote(source) is not None:
                    return None
                return self.image(source)
            case _:
                return None

    def _directory(self, path: str, ignored: Sequence[bytes], *, meet_again: bool) -> Tree:
        """``meet_again``: later builds may find the same files there."""
        workspaces = os.path.relpath(os.path.realpath(self._store.workspaces), os.path.realpath(path))
        try:
            rootfs = Rootfs(os.fsencode(path))
            return Tree(
                rootfs=rootfs,
                ignore=IgnorePatterns(ignored) if ignored else None,
                is_context=True,
                workspaces=None if workspaces.split("/")[0] == ".." else os.fsencode(workspaces),
                patterns=tuple(ignored),
                known=self._known(rootfs) if meet_again and not self._read_all else None,
            )
        except ValueError as error:
            raise BuildContextError(f"the ignore file of {path} cannot be used: {error}") from error
        except OSError as error:
            raise BuildContextError(f"the build context {path} cannot be read: {error.strerror}") from error


def _value(source: NamedContext | ImageSource) -> str:
    return source.value if isinstance(source, NamedContext) else IMAGE_SCHEME + source.reference


def _remote(source: CopySource) -> Remote | None:
    """What a named context is fetched from, if it is: a path that is there goes before an address."""
    if not isinstance(source, NamedContext) or os.path.exists(source.value):
        return None
    return remote_context(source.value)
