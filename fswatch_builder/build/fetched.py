"""What one build fetches by URL: each thing once, into a directory that goes with the build."""

import os
from contextlib import ExitStack
from itertools import count
from typing import Final

import msgspec

from fswatch_builder._native import Rootfs
from fswatch_builder.build import keys
from fswatch_builder.build.contexts import unpack
from fswatch_builder.build.keys import field_digest
from fswatch_builder.build.once import Once
from fswatch_builder.build.parts import Part
from fswatch_builder.build.trees import Tree
from fswatch_builder.errors import BuildContextError
from fswatch_builder.model.remote import GitTree, HttpFile, Remote
from fswatch_builder.oci.compression import is_archive
from fswatch_builder.oci.store import Store
from fswatch_builder.remote import git, http
from fswatch_builder.remote.address import shown
from fswatch_builder.remote.credentials import Credentials
from fswatch_builder.remote.http import Downloaded

_NOTE: Final = "download"


class Fetched:
    """A context manager, for any thread. Nothing is fetched before it is asked for."""

    def __init__(self, store: Store, credentials: Credentials) -> None:
        """The files go into a workspace of ``store``, which remembers what a URL gave last, and has the limits of what
        archives unpack to.
        """
        self._store = store
        self._credentials = credentials
        self._stack = ExitStack()
        self._directory: Once[None, str] = Once()
        self._numbers = count(1)
        self._trees: Once[Remote, Tree] = Once()
        self._contexts: Once[HttpFile, Tree] = Once()
        self._commits: Once[GitTree, str] = Once()
        self._downloads: dict[HttpFile, Downloaded] = {}  # what was seen first, by whichever thread

    def __enter__(self) -> "Fetched":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def identity(self, source: Remote) -> bytes:
        """Of the files: equal for equal ones. A file is fetched for it only if neither a checksum nor the server says
        that it is known.
        """
        if isinstance(source, GitTree):
            return keys.git_identity(source, self._commit(source))
        if source.sha256 is not None:
            return keys.http_identity(http.file_name(source.url), source.sha256, None)
        if source not in self._downloads:
            known = self._unchanged(source)
            if known is None:
                self.tree(source)
            else:
                self._downloads.setdefault(source, known)
        found = self._downloads[source]
        return keys.http_identity(http.file_name(source.url), found.sha256, found.modified)

    def parts(self, source: Remote) -> tuple[Part, ...]:
        """What ``identity`` depends on beside the address."""
        if isinstance(source, GitTree):
            commit = self._commit(source)
            return (Part(f"the commit of {shown(source.remote)}", bytes.fromhex(commit), commit[:12]),)
        address = shown(source.url)
        if source.sha256 is not None:
            return (Part(f"the checksum of {address}", bytes.fromhex(source.sha256)),)
        self.identity(source)
        found = self._downloads[source]
        stamp = str(found.modified)
        return (
            Part(f"the content of {address}", bytes.fromhex(found.sha256)),
            Part(f"the Last-Modified time of {address}", field_digest(stamp)),
        )

    def tree(self, source: Remote) -> Tree:
        """The files: of a repository all that ``source`` means, of a URL the one, by its ``http.file_name``."""
        return self._trees.get(source, lambda: self._fetch(source))

    def _fetch(self, source: Remote) -> Tree:
        place = self._place("tree")
        if isinstance(source, GitTree):
            found = git.check_out(source, self._commit(source), place, self._credentials)
            return Tree(found.rootfs, None, is_context=True)
        name = http.file_name(source.url)
        os.mkdir(place, 0o700)
        self._download(source, os.path.join(place, name))
        return Tree(Rootfs(os.fsencode(place)), None, is_context=True, lone=os.fsencode(name))

    def context(self, source: Remote) -> Tree:
        """The files as a build context: a tar is unpacked, another file is there by the name ``context``."""
        if isinstance(source, GitTree):
            return self.tree(source)
        return self._contexts.get(source, lambda: self._unpack(source))

    def _unpack(self, source: HttpFile) -> Tree:
        place = self._place("context")
        os.mkdir(place, 0o755)
        path = self.path(source)
        if is_archive(path):
            unpack(path, shown(source.url), place, self._store.limits)
        else:
            os.link(path, os.path.join(place, "context"))
        return Tree(Rootfs(os.fsencode(place)), None, is_context=True)

    def path(self, source: HttpFile) -> str:
        """Where the file is that a URL gave."""
        tree = self.tree(source)
        return os.fsdecode(os.path.join(tree.rootfs.path, tree.lone or b""))

    def _download(self, source: HttpFile, path: str) -> None:
        found = http.download(source, path, self._credentials, self._store.limits.size)
        expected = self._downloads.setdefault(source, found)
        if (found.sha256, found.modified) != (expected.sha256, expected.modified):
            # What it was has become part of a cache key.
            raise BuildContextError(f"{shown(source.url)} changed while the build went on", hint="build again")
        self._store.memory.note(_NOTE, keys.url_key(source.url), msgspec.json.encode(found))

    def _commit(self, source: GitTree) -> str:
        return self._commits.get(source, lambda: git.resolve(source, self._credentials))

    def _unchanged(self, source: HttpFile) -> Downloaded | None:
        note = self._store.memory.recall(_NOTE, keys.url_key(source.url))
        if note is None:
            return None
        known = msgspec.json.decode(note, type=Downloaded)
        return known if http.is_unchanged(source, known, self._credentials) else None

    def _place(self, kind: str) -> str:
        directory = self._directory.get(None, lambda: self._stack.enter_context(self._store.workspace()))
        return os.path.join(directory, f"{kind}-{next(self._numbers)}")
