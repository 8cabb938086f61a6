"""The root file system of a stage, made when a step needs it and not before.

It begins with what is kept unpacked (kept_bases.py), where there is that. Layers are unpacked with the baseline built
on the way, so there is no initial scan; the tracker is armed before the first RUN and stays in force until the stage is
done with.

A kept tree is looked at while steps are done on it (belief.py): `trial` is where that ends, one way or the other.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from fswatch_builder import stopping
from fswatch_builder._native import ArchiveError, Baseline, ChangeSet, Rootfs
from fswatch_builder.build.meter import SILENT, Listener
from fswatch_builder.errors import BaseImageError, Location
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.store import Store
from fswatch_builder.stopping import Stopped

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fswatch_builder.build.ground import Ground
    from fswatch_builder.build.kept_bases import KeptBases, Presumed
    from fswatch_builder.tracking.protocol import Session
    from fswatch_builder.tracking.selection import Selection


class Base(Struct, frozen=True):
    """What a rootfs begins with: an image from elsewhere, under a name for people, or nothing. ``where``: the line that
    says so is told with what goes wrong.
    """

    layers: tuple[Layer, ...] = ()
    name: str = ""
    where: Location | None = None


class Armed(Struct, frozen=True):
    """A tracker in force, and how it came to be chosen."""

    session: "Session"
    selection: "Selection"

    @property
    def why(self) -> tuple[str, ...]:
        """Reasons, in the order they came up."""
        return self.selection.why


class AlteredError(Exception):
    """The kept tree that a root file system stood on is not what it was. All that was done on it is gone."""


class Worksite:
    """A rootfs, its baseline and its tracker, in step. A context manager: everything goes at its end."""

    def __init__(self, store: Store, tracker: str, kept: "KeptBases | None" = None, tell: Listener = SILENT) -> None:
        """Nothing is made yet; ``tracker`` is a name or ``auto``. Without ``kept`` all is always unpacked."""
        self._store = store
        self._tracker = tracker
        self._kept = kept
        self._tell = tell
        self.base = Base()
        self._workspace: AbstractContextManager[str] | None = None
        self._directory = ""
        self._rootfs: Rootfs | None = None
        self._baseline: Baseline | None = None
        self._armed: Armed | None = None
        self._runs = 0
        self._layers: tuple[Layer, ...] = ()
        self._presumed: Presumed | None = None  # what it stands on, as long as it is looked at
        self._making = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes all of it. A second call does nothing."""
        self.stop_tracking()
        self._rootfs = self._baseline = self._presumed = None
        self._layers = ()
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
        """Makes the rootfs if there is none, and unpacks those of ``layers`` that it lacks. All of it can be trusted.

        Any thread may ask for it: several stages may take from one that was all in the cache.
        """
        with self._making:
            while not self._is_brought_to(layers):
                pass  # each time a tree was dropped

    def _is_brought_to(self, layers: Sequence[Layer]) -> bool:
        try:
            with self.trial(layers):
                return True
        except AlteredError:
            return False

    @contextmanager
    def trial(self, layers: Sequence[Layer]) -> Iterator[None]:
        """As ``bring_to``, for a block that does not wait until a kept tree below was looked at: its end does. What
        comes of the block is to be kept after that and not before; and so are its errors to be told.

        Raises AlteredError in the place of them if nothing of it is to be trusted. The block is ended early then.
        """
        try:
            self._bring_to(layers)
            with nullcontext() if self._presumed is None else stopping.under_either(self._presumed.look.altered):
                yield
        except (Exception, Stopped):
            stopping.check()
            self._judge()
            raise
        self._judge()

    def _judge(self) -> None:
        if self._kept is None or self._presumed is None:
            return
        if not self._kept.holds(self._presumed):
            self.close()
            raise AlteredError
        self._presumed = None
        stopping.check()  # that took a while

    def _bring_to(self, layers: Sequence[Layer]) -> None:
        try:
            self._begin_and_unpack(layers)
        except BaseImageError as error:
            if self.base.where is not None:
                error.at(self.base.where)
            raise

    def _begin_and_unpack(self, layers: Sequence[Layer]) -> None:
        if self._rootfs is not None:
            self._unpack(layers)
            return
        self._make(layers)
        try:
            self._unpack(layers)
        except BaseImageError as error:
            # overlayfs makes no character device 0/0 (ovl_mknod()), and a cached layer may bring one.
            if self._kept is None or not self.rootfs.merged or not isinstance(error.__cause__, ArchiveError):
                raise
            self._tell.note("the base is unpacked anew: a cached layer has a device 0/0, which an overlay cannot hold")
            self.close()
            self._kept = None
            self._make(layers)
            self._unpack(layers)

    def stop_tracking(self) -> None:
        """At the end of the stage, and before layers go on top of a watched rootfs (a step that hits the cache after
        one that missed): should a RUN follow, it arms anew.
        """
        if self._armed is not None:
            self._armed.session.close()
            self._armed = None

    def _make(self, layers: Sequence[Layer]) -> None:
        from fswatch_builder.build.unpacking import new_rootfs
        from fswatch_builder.runtime.host import check_owners

        check_owners()
        self._workspace = self._store.workspace()
        self._directory = self._workspace.__enter__()
        ground = self._ground(layers)
        if ground is None:
            self._rootfs, self._baseline = new_rootfs(f"{self._directory}/rootfs")
        else:
            self._rootfs, self._baseline, self._layers = ground.rootfs, ground.baseline, ground.layers
            self._presumed = ground.presumed

    def _ground(self, layers: Sequence[Layer]) -> "Ground | None":
        from fswatch_builder.tracking.selection import takes_overlay

        if self._kept is None:
            return None
        return self._kept.begin(self.base, layers, self._directory, takes_overlay(self._tracker))

    def _unpack(self, layers: Sequence[Layer]) -> None:
        done = len(self._layers)
        if self._layers != tuple(layers[:done]):
            raise RuntimeError("these layers are not on top of the ones unpacked")
        if layers[done:]:
            from fswatch_builder.build.unpacking import unpack_all

            self.stop_tracking()
            unpack_all(layers[done:], self._store, self.rootfs, self.baseline, self._tell)
        if done == 0 and layers:
            self.baseline.save(os.fsencode(f"{self._directory}/baseline"))
        self._layers = tuple(layers)

    @property
    def armed(self) -> Armed:
        """The tracker, in force from the first use on. Every use is for one RUN."""
        self._runs += 1
        if self._armed is not None and self._armed.selection.outgrown(self.baseline, self._runs):
            self.stop_tracking()
        if self._armed is None:
            from fswatch_builder.tracking.selection import select

            selection = select(self._tracker, self.rootfs, self.baseline, self._runs)
            session = selection.tracker.arm(self.rootfs, self.baseline)
            self._armed = Armed(session, selection)
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
