"""Content-addressed files: ``blobs/sha256/<hex>`` of an OCI image layout. What is visible is whole."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Final

from fswatch_builder.errors import OutputError, StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.oci.filesystem import ask, export_hint

if TYPE_CHECKING:
    from fswatch_builder.oci.arrivals import Arrivals, Arriving
    from fswatch_builder.oci.keeping.sessions import Session

NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


def write_error(path: str, error: OSError) -> OutputError:
    """That ``path`` could not be written to, with a way out."""
    hint = None
    if error.errno in NO_SPACE:
        hint = "free some space, or use another disk"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = f"{export_hint(error, path)}choose a place you may write to"
    elif error.errno == errno.EISDIR:
        hint = "give the path of a file"
    return OutputError(f"cannot write to {path}: {error.strerror or error}", hint=hint)


@contextmanager
def write_errors(path: str) -> Iterator[None]:
    """Turns an ``OSError`` of writing below ``path`` into an ``OutputError`` with a way out."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def sync_directory(path: str) -> None:
    """Makes renames in a directory last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_there(path: str) -> bool:
    """Whether there is a file or directory, now, on whichever machine it came or went."""
    try:
        ask(os.path.dirname(path))
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def write_whole(path: str, content: bytes, temporary: str, last_check: Callable[[], None] = lambda: None) -> None:
    """Puts a small file in place: all of it or nothing. ``temporary`` is a directory on the same file system.
    ``last_check`` may refuse when all is written, and nothing to be seen yet.
    """
    draft = os.path.join(temporary, os.urandom(8).hex())
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    last_check()
    os.rename(draft, path)
    sync_directory(os.path.dirname(path))


class BlobWriter:
    """A blob in the making. Only ``commit`` makes it visible, and only to a session that has leased it before."""

    def __init__(self, blobs: "Blobs", draft: str, expected: Digest | None = None) -> None:
        """``expected``: what the digest will be. Whoever waits for that blob can follow it."""
        self._blobs = blobs
        self._draft = draft
        self._expected = expected
        self._hash = hashlib.sha256()
        self._committed: tuple[Digest, int] | None = None
        self.size = 0  # bytes written
        self._file = open(draft, "x+b")  # noqa: SIM115 - closed by commit or discard

    def write(self, content: bytes | memoryview) -> None:
        """Appends. Raises OutputError."""
        with write_errors(self._blobs.directory):
            self._file.write(content)
        self._hash.update(content)
        self.size += len(content)
        if self._expected is not None and self._blobs.arrivals is not None:
            with write_errors(self._blobs.directory):
                self._file.flush()
            self._blobs.arrivals.grown(self._expected, self._file.fileno(), self.size)

    @property
    def digest(self) -> Digest:
        """Of what was written so far."""
        return Digest("sha256:" + self._hash.hexdigest())

    def commit(self) -> tuple[Digest, int]:
        """Makes the blob visible: its digest and size in bytes."""
        if self._committed is None:
            digest = self.digest
            target = self._blobs.path(digest)
            self._blobs.lease([digest])
            with write_errors(self._blobs.directory):
                self._file.flush()
                os.fsync(self._file.fileno())
                os.rename(self._draft, target)
                sync_directory(os.path.dirname(target))
                self._close()
            self._committed = digest, self.size
        return self._committed

    def discard(self) -> None:
        """Drops what was not committed."""
        if self._committed is None:
            with suppress(OSError):  # what it cannot flush is thrown away anyway
                self._close()
            with suppress(FileNotFoundError):
                os.unlink(self._draft)

    def _close(self) -> None:
        if self._expected is not None and self._blobs.arrivals is not None and not self._file.closed:
            self._blobs.arrivals.over(self._expected, self._file.fileno())
        self._file.close()


class Blobs:
    """The blobs of one layout directory, leased by a session as they are used."""

    def __init__(self, directory: str, session: "Session | None") -> None:
        """Without a session nothing is leased: a store that can only be read."""
        self.directory = directory
        self.home = os.path.join(directory, "blobs", "sha256")
        self.arrivals: Arrivals | None = None  # as long as nobody follows any
        self._beginning = Lock()
        self._session = session

    def path(self, digest: Digest) -> str:
        """Where a blob is, or would be."""
        return os.path.join(self.home, digest.hex)

    def arriving(self, blob: Descriptor) -> "Arriving":
        """Its bytes, which are there or come while they are read: see `arrivals`."""
        from fswatch_builder.oci.arrivals import Arrivals, Arriving

        with self._beginning:
            if self.arrivals is None:
                self.arrivals = Arrivals()
        return Arriving(self.arrivals, blob.digest, self.path(blob.digest), blob.size)

    def lease(self, digests: Sequence[Digest]) -> None:
        """Nobody removes these before our session ends."""
        if self._session is not None:
            self._session.keep("blob", [digest.text for digest in digests])

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there; if so, it stays."""
        return self.has_all([digest])

    def has_all(self, digests: Sequence[Digest]) -> bool:
        """Whether all of them are there; if so, they stay."""
        self.lease(digests)
        return all(is_there(self.path(digest)) for digest in digests)

    def size(self, digest: Digest) -> int:
        """In bytes. A missing blob is a StoreError."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise self._missing(digest) from None

    def read(self, digest: Digest, limit: int) -> bytes:
        """A small blob, checked against its digest. Raises StoreError."""
        try:
            ask(self.home)
            with open(self.path(digest), "rb") as file:
                content = file.read(limit + 1)
        except FileNotFoundError:
            raise self._missing(digest) from None
        except OSError as error:
            raise StoreError(f"cannot read blob {digest} in {self.directory}: {error.strerror}") from error
        if len(content) > limit:
            raise StoreError(
                f"blob {digest} in {self.directory} is larger than the {limit} bytes such a document may have"
            )
        if Digest.of(content) != digest:
            raise StoreError(
                f"blob {digest} in {self.directory} is damaged: its content has another digest",
                hint=f"remove {self.path(digest)} and build again",
            )
        return content

    def _missing(self, digest: Digest) -> StoreError:
        return StoreError(f"blob {digest} is missing in {self.directory}", hint="load or pull the image again")
