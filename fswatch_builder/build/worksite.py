"""The root file system of a stage, made when a step needs it and not before.

Layers are unpacked with the baseline built on the way, so there is no initial scan; the tracker is armed before the
first RUN and stays in force until the stage is done with.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from fswatch_builder._native import ArchiveError, Baseline, ChangeSet, RefusedError, Rootfs, unpack_layer
from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.store import Store

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fswatch_builder.tracking.protocol import Session


@dataclass(frozen=True, slots=True)
class Armed:
    """A tracker in force, and why it was chosen."""

    session: "Session"
    why: tuple[str, ...]


class Worksite:
    """A rootfs, its baseline and its tracker, in step. A context manager: everything goes at its end."""

    def __init__(self, store: Store, tracker: str) -> None:
        """Nothing is made yet; ``tracker`` is a name or ``auto``."""
        self._store = store
        self._tracker = tracker
        self._workspace: AbstractContextManager[str] | None = None
        self._directory = ""
        self._rootfs: Rootfs | None = None
        self._baseline: Baseline | None = None
        self._armed: Armed | None = None
        self._layers: tuple[Layer, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes all of it. A second call does nothing."""
        self.stop_tracking()
        self._rootfs = self._baseline = None
        if self._workspace is not None:
            self._workspace.__exit__(None, None, None)
            self._workspace = None

    @property
    def exists(self) -> bool:
        """Whether anything was unpacked."""
        return self._rootfs is not None

    @property
    def directory(self) -> str:
        """A private directory beside the rootfs, gone at the end."""
        return self._directory

    @property
    def rootfs(self) -> Rootfs:
        """The open root: where the tracker in force wants it. ``bring_to`` comes first."""
        if self._rootfs is None:
            raise RuntimeError("the rootfs is not made yet")
        return self._rootfs

    @property
    def baseline(self) -> Baseline:
        """What is recorded of it."""
        if self._baseline is None:
            raise RuntimeError("the rootfs is not made yet")
        return self._baseline

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those that the rootfs consists of."""
        return self._layers

    def bring_to(self, layers: Sequence[Layer]) -> None:
        """Makes the rootfs if there is none, and unpacks those of ``layers`` that it lacks."""
        if self._rootfs is None:
            self._make()
        done = len(self._layers)
        if self._layers != tuple(layers[:done]):
            raise RuntimeError("these layers are not on top of the ones unpacked")
        if layers[done:]:
            self.stop_tracking()
        for layer in layers[done:]:
            self._unpack(layer)
        fresh = done == 0 and layers
        if fresh:
            self.baseline.save(os.fsencode(f"{self._directory}/baseline"))
        self._layers = tuple(layers)

    def stop_tracking(self) -> None:
        """At the end of the stage, and before layers go on top of a watched rootfs (a step that hits the cache after
        one that missed): should a RUN follow, it arms anew.
        """
        if self._armed is not None:
            self._armed.session.close()
            self._armed = None

    def _make(self) -> None:
        from fswatch_builder.runtime.host import check_owners

        check_owners()
        self._workspace = self._store.workspace()
        self._directory = self._workspace.__enter__()
        path = f"{self._directory}/rootfs"
        os.mkdir(path, 0o755)
        os.chmod(path, 0o755)  # mkdir's mode is cut by the umask  # noqa: S103
        self._rootfs = Rootfs(os.fsencode(path))
        self._baseline = Baseline.empty(self._rootfs)

    def _unpack(self, layer: Layer) -> None:
        from fswatch_builder.oci.compression import decompressed
        from fswatch_builder.oci.decoding import CompressionError

        place = f"layer {layer.diff_id}"
        self._store.size(layer.descriptor.digest)  # a missing blob is told as what it is
        try:
            with decompressed(self._store.blob_path(layer.descriptor.digest)) as descriptor:
                unpacked = unpack_layer(self.rootfs, self.baseline, descriptor)
        except ArchiveError as error:
            raise BaseImageError(f"{place} cannot be unpacked: {error}") from error
        except (RefusedError, CompressionError) as error:
            raise BaseImageError(f"{place} cannot be unpacked: {error}") from error
        if unpacked.diff_id != layer.diff_id.raw:
            raise BaseImageError(
                f"{place} is damaged: its tar has digest sha256:{unpacked.diff_id.hex()}",
                hint="remove the image and fetch it again",
            )

    @property
    def armed(self) -> Armed:
        """The tracker, in force from the first use on."""
        if self._armed is None:
            from fswatch_builder.tracking.selection import select

            selection = select(self._tracker, self.rootfs, self.baseline)
            session = selection.tracker.arm(self.rootfs, self.baseline)
            self._armed = Armed(session, tuple(selection.why))
            # What steps have written is there and nowhere else, so it stays when the session ends.
            self._rootfs = session.rootfs
        return self._armed

    def advance(self, changes: ChangeSet, layer: Layer | None) -> None:
        """The state after ``changes`` is the new baseline; what the tracker saw so far, our writes too, is no news."""
        self.baseline.advance(changes)
        if self._armed is not None:
            self._armed.session.advance(self.baseline, changes)
        if layer is not None:
            self._layers = (*self._layers, layer)
