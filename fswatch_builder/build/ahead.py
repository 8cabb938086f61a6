"""A root file system archive that is unpacked while it is imported, in threads of its own.

An archive that nobody has seen before is about to become a base, and the first step on it needs its files: no step can
be cached on top of what is new. What is unpacked is believed only as the layer that the import finds, by its digest.
"""

import os
import threading
from typing import Final

from fswatch_builder import stopping
from fswatch_builder._native import ArchiveError, Baseline, RefusedError, Rootfs, UnpackedLayer, unpack_layer
from fswatch_builder.build.meter import Meter
from fswatch_builder.build.unpacking import new_rootfs
from fswatch_builder.model.digest import DiffID
from fswatch_builder.oci.compression import decompressed, pipe
from fswatch_builder.oci.decoding import CompressionError
from fswatch_builder.oci.limits import UnpackLimits

_COPY: Final = 1 << 20


class Ahead:
    """One of them. Until ``close``, which ends it early, it goes on by itself."""

    def __init__(self, path: str, draft: str, limits: UnpackLimits) -> None:
        """Begins to unpack the archive ``path`` into the empty directory ``draft``. Raises OSError."""
        self.draft = draft
        self._limits = limits
        self._rootfs, self._baseline = new_rootfs(f"{draft}/rootfs")
        self._unpacked: UnpackedLayer | None = None
        self._ended = threading.Event()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close
        self.size = os.fstat(self._file.fileno()).st_size
        self._most = limits.bytes_from(self.size)
        self._reading, self._writing = pipe()
        self._threads = [
            threading.Thread(target=work, name="unpack ahead", daemon=True) for work in (self._feed, self._unpack)
        ]
        for thread in self._threads:
            thread.start()

    # What goes wrong in the threads is not told by them: the import reads the same archive and tells what it cannot
    # read, and who needs a base that could not be unpacked unpacks it, and meets the same.

    def _feed(self) -> None:
        try:
            with (
                open(self._writing, "wb", buffering=0) as sink,
                decompressed(self._file.fileno(), max_bytes=self._most) as source,
            ):
                while not self._ended.is_set() and (chunk := os.read(source, _COPY)):
                    view = memoryview(chunk)
                    while view:
                        view = view[sink.write(view) :]
        except (OSError, CompressionError):
            pass

    def _unpack(self) -> None:
        try:
            self._unpacked = unpack_layer(
                self._rootfs,
                self._baseline,
                self._reading,
                max_bytes=self._most,
                max_entries=self._limits.entries,
            )
        except (ArchiveError, RefusedError, OSError):
            pass
        finally:
            os.close(self._reading)  # should it have ended early, the other thread meets a broken pipe

    def result(self, diff_id: DiffID, meter: Meter) -> tuple[Rootfs, Baseline] | None:
        """Waits for its end. None unless what was unpacked is this layer, whole."""
        with stopping.ending(self._ended.set), meter.reading(self._file.fileno(), self.size):
            self._wait()
        stopping.check()
        if self._unpacked is None or self._unpacked.diff_id != diff_id.raw:
            return None
        return self._rootfs, self._baseline

    def close(self) -> None:
        """Ends it. A second call does nothing."""
        self._ended.set()
        self._wait()
        self._file.close()

    def _wait(self) -> None:
        for thread in self._threads:
            thread.join()
