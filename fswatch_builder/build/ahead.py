"""A base that is unpacked while it is imported, in threads of its own: as its bytes arrive from wherever it is taken.

What the store does not have yet is about to become a base, and the first step on it needs its files: no step can be
cached on top of what is new. What is unpacked is believed only as the layers that the import finds, by their digests.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, Protocol

from fswatch_builder import stopping
from fswatch_builder._native import ArchiveError, Baseline, RefusedError, Rootfs, remove_tree, unpack_layer
from fswatch_builder.build.meter import Meter
from fswatch_builder.build.unpacking import new_rootfs
from fswatch_builder.model.digest import DiffID
from fswatch_builder.oci.compression import feeding, plain
from fswatch_builder.oci.decoding import CompressionError
from fswatch_builder.oci.limits import UnpackLimits

_PIECE: Final = 1 << 20


class Source(Protocol):
    """The compressed bytes of a layer, in their order, from where they come."""

    size: int  # bytes that it is said to have

    def __iter__(self) -> Iterator[bytes]:
        """Each piece once it is there. Raises OSError."""

    def all_came(self) -> None:
        """Nothing is waited for any more."""

    def end(self) -> None:
        """No more of it is wanted."""


class WholeFile:
    """A source that is there."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self.size = os.stat(path).st_size
        self._path = path
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        """See Source."""
        with open(self._path, "rb", buffering=0) as file:
            while not self._ended and (piece := file.read(_PIECE)):
                yield piece

    def all_came(self) -> None:
        """See Source."""

    def end(self) -> None:
        """See Source."""
        self._ended = True


class Ahead:
    """One of them. Until ``close``, which ends it early, it goes on by itself."""

    def __init__(self, sources: Sequence[Source], draft: str, limits: UnpackLimits) -> None:
        """Begins to unpack layers, bottom first, into the empty directory ``draft``. Raises OSError."""
        self.draft = draft
        self.size = sum(source.size for source in sources)
        self._sources = tuple(sources)
        self._limits = limits
        self._rootfs, self._baseline = new_rootfs(f"{draft}/rootfs")
        self._read = 0  # bytes, of all sources
        self._unpacked: list[bytes] = []  # diffIDs
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="unpack ahead", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        # What goes wrong is not told: the import reads the same bytes and tells what it cannot read, and who needs a
        # base that could not be unpacked unpacks it, and meets the same.
        try:
            for source in self._sources:
                with feeding(self._plain(source)) as descriptor:
                    unpacked = unpack_layer(
                        self._rootfs,
                        self._baseline,
                        descriptor,
                        max_bytes=self._limits.bytes_from(source.size),
                        max_entries=self._limits.entries,
                    )
                if self._ended:
                    break
                self._unpacked.append(unpacked.diff_id)
        except (ArchiveError, CompressionError, RefusedError, OSError):
            self._drop()

    def _plain(self, source: Source) -> Iterator[bytes]:
        """Of what has come so far, no more than that may unpack to: its size is only what somebody said."""
        before = self._read
        seen = 0
        for piece in plain(self._counted(source)):
            seen += len(piece)
            most = self._limits.bytes_from(self._read - before)
            if most is not None and seen > most:
                raise CompressionError(f"it unpacks to more than the limit of {most} bytes")
            yield piece

    def _counted(self, source: Source) -> Iterator[bytes]:
        for piece in source:
            self._read += len(piece)
            yield piece

    def result(self, diff_ids: Sequence[DiffID], meter: Meter) -> tuple[Rootfs, Baseline] | None:
        """Once all is imported: waits for its end. None unless what was unpacked is these layers, whole."""
        for source in self._sources:
            source.all_came()
        with stopping.ending(self._end), meter.following(lambda: self._read, self.size):
            self._thread.join()
        stopping.check()
        if self._unpacked != [diff_id.raw for diff_id in diff_ids]:
            self._drop()
            return None
        return self._rootfs, self._baseline

    def close(self) -> None:
        """Ends it. A second call does nothing."""
        self._end()
        self._thread.join()

    def _drop(self) -> None:
        """What is of no use takes no room from those who go on. What cannot be removed now goes with the workspace."""
        with suppress(OSError):
            remove_tree(os.fsencode(self.draft))

    def _end(self) -> None:
        self._ended = True
        for source in self._sources:
            source.end()
