"""What a root file system begins with: a base that an earlier build unpacked, if it can be.

Nobody writes to a kept tree (``Kind.TREE`` of the store), so any number of stages and builds begin with it at once. It
is the lower layer of an overlay, each with an upper directory of its own; or it is copied, where files can share their
blocks, for a tracker that is blind on an overlay and for a base that an overlay would not show as it is. Where neither
can be, nothing is kept.

A tree is looked at before it is believed: everything in it must be what its baseline says, by the evidence of
``index/CLOCK.md``. So no content is read, unless the machine was started since.
"""

import errno
import fcntl
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import Enum, auto
from tempfile import TemporaryFile, mkdtemp
from typing import Final, Protocol

from fswatch_builder._native import Baseline, HintSet, RefusedError, Rootfs, is_multigrain, mount_overlay
from fswatch_builder.build.keys import chain_of
from fswatch_builder.build.once import Turns
from fswatch_builder.build.worksite import Base
from fswatch_builder.model.digest import ChainID
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store
from fswatch_builder.tracking.overlays import PREFIX, obstacle

_FICLONE: Final = 0x40049409  # ioctl_ficlonerange(2)


_WAITING: Final = "waiting for another build, which unpacks the same base"


@dataclass(frozen=True, slots=True)
class Ground:
    """A root file system to go on with, and what is recorded of it."""

    rootfs: Rootfs
    baseline: Baseline


class Way(Enum):
    """How a root file system begins with a kept tree."""

    OVER = auto()
    COPY = auto()


@dataclass(frozen=True, slots=True)
class Ways:
    """Those that there are on this host."""

    over: bool
    copy: bool

    @classmethod
    def of(cls, directory: str) -> "Ways":
        """Both tried in ``directory``, which is on the file system of the trees."""
        return cls(over=obstacle(directory) is None, copy=_shares_blocks(directory))

    def without_overlay_unless(self, allowed: bool) -> "Ways":
        """What is left of them."""
        return Ways(over=self.over and allowed, copy=self.copy)

    def fit(self, baseline: Baseline) -> Way | None:
        """The one to take for a tree with this record."""
        if self.over and baseline.null_device() is None:
            return Way.OVER
        return Way.COPY if self.copy else None

    def __bool__(self) -> bool:
        return self.over or self.copy


class Listener(Protocol):
    """Who is told what becomes of kept trees."""

    def note(self, text: str) -> None:
        """While it happens."""


class KeptBases:
    """The kept trees of one build, each looked at once and held to its end. A context manager, for any thread."""

    def __init__(self, store: Store, tell: Listener) -> None:
        """Nothing is looked at yet."""
        self.tell = tell
        self._store = store
        self._resources = ExitStack()
        self._turns: Turns[ChainID | None] = Turns()
        self._checked: set[ChainID] = set()
        self._ways: Ways | None = None

    def __enter__(self) -> "KeptBases":
        return self

    def __exit__(self, *exc: object) -> None:
        self._resources.close()

    def begin(self, base: Base, directory: str, overlay: bool) -> Ground | None:
        """A root file system that consists of ``base``, with what is written to it in ``directory``, a workspace; the
        merged view of an overlay only if ``overlay``.

        None where nothing can be kept. Raises what unpacking raises.
        """
        chain = chain_of(layer.diff_id for layer in base.layers)
        if chain is None:
            return None
        kept = self._store.kept
        tree = kept.path(Kind.TREE, chain)
        ways = self._ways_here(directory, tree).without_overlay_unless(overlay)
        if not ways:
            return None
        with self._turns.turn(chain):  # of several stages that begin with it, the first unpacks it
            if chain not in self._checked:
                # First leased, then looked at: what was seen before a lease may be gone.
                self._resources.enter_context(kept.use(Kind.TREE, chain))
                if not self._believe(chain):
                    with kept.turn(Kind.TREE, chain, lambda: self.tell.note(_WAITING)):
                        if not self._believe(chain, drop=True):
                            return self._make(base, chain, directory, ways)
        baseline = Baseline.open(os.fsencode(f"{tree}/baseline"))
        way = ways.fit(baseline)
        return None if way is None else _begin(way, tree, baseline, directory)

    def _ways_here(self, directory: str, tree: str) -> Ways:
        with self._turns.turn(None):
            if self._ways is None:
                with self._store.workspace() as grave:
                    self._store.kept.bury_discarded(grave)
                home = os.path.dirname(tree)
                ours = all(_is_ours_alone(above) for above in (os.path.dirname(home), home))
                can_move = os.stat(home).st_dev == os.stat(directory).st_dev
                self._ways = Ways.of(directory) if ours and can_move else Ways(over=False, copy=False)
            return self._ways

    def _believe(self, chain: ChainID, *, drop: bool = False) -> bool:
        """Whether there is a tree to be believed. Another is dropped, in a turn, and it is said why."""
        kept = self._store.kept
        with kept.use(Kind.TREE, chain) as found:
            if found.path is None:
                return False
            fault = _differs(found.path, read_all=not found.of_this_boot)
            if fault is None:
                if not found.of_this_boot:
                    kept.believe(Kind.TREE, chain)
                self._checked.add(chain)
                self.tell.note("base kept from an earlier build")
            elif drop:
                self.tell.note(f"the base kept from an earlier build is unpacked anew: {fault}")
                kept.discard(Kind.TREE, chain)
            return fault is None

    def _make(self, base: Base, chain: ChainID, directory: str, ways: Ways) -> Ground:
        from fswatch_builder.build.unpacking import new_rootfs, unpack

        draft = os.path.join(directory, "tree")
        os.mkdir(draft, 0o700)
        rootfs, baseline = new_rootfs(f"{draft}/rootfs")
        for layer in base.layers:
            unpack(layer, self._store, rootfs, baseline)
        if not is_multigrain(os.fsencode(draft)):
            # All was written since the clock of its records was read. One more look, later, and they are evidence.
            baseline.advance(baseline.reconcile(rootfs, _everything()))
        baseline.save(os.fsencode(f"{draft}/baseline"))
        way = ways.fit(baseline)
        if way is None:
            self.tell.note("the base is not kept: an overlay would hide its character device 0/0")
            return Ground(rootfs, baseline)
        tree = self._store.kept.publish(Kind.TREE, chain, draft, label=base.name)
        self._checked.add(chain)
        return _begin(way, tree, baseline, directory)


def _begin(way: Way, tree: str, baseline: Baseline, directory: str) -> Ground:
    rootfs = Rootfs(os.fsencode(f"{tree}/rootfs"))
    match way:
        case Way.OVER:
            layers = mkdtemp(prefix=PREFIX, dir=directory)
            return Ground(mount_overlay(rootfs, os.fsencode(layers)), baseline)
        case Way.COPY:
            from fswatch_builder.build.unpacking import new_rootfs

            copy, _ = new_rootfs(f"{directory}/rootfs")
            return Ground(copy, baseline.clone_tree(rootfs, copy))


def _is_ours_alone(directory: str) -> bool:
    """Whether nobody else may put anything there. It is made if there is none."""
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    status = os.stat(directory)
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _shares_blocks(directory: str) -> bool:
    with TemporaryFile(dir=directory) as one, TemporaryFile(dir=directory) as other:
        one.write(b"x")
        one.flush()
        try:
            fcntl.ioctl(other, _FICLONE, one.fileno())
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV):
                return False
            raise
    return True


def _everything() -> HintSet:
    hints = HintSet()
    hints.add(b"", "subtree")
    return hints


def damage(tree: str) -> str | None:
    """What is wrong with a kept tree, every file of it read; None if nothing is. For `prune --verify`."""
    return _differs(tree, read_all=True)


def _differs(tree: str, *, read_all: bool) -> str | None:
    """Why a tree cannot be believed; None if all in it is as it was recorded."""
    try:
        baseline = Baseline.open(os.fsencode(f"{tree}/baseline"))
        rootfs = Rootfs(os.fsencode(f"{tree}/rootfs"))
        found = baseline.reconcile(rootfs, _everything(), hash="all" if read_all else "evidence")
    except FileNotFoundError as error:
        return f"{os.fsdecode(error.filename)} is missing"
    except RefusedError as error:
        return f"{os.fsdecode(error.path)}: {error.reason}"
    different = [change.path for change in found.changes] + found.sockets
    if not different:
        return None
    return f"it was changed since, in {len(different)} places, such as /{os.fsdecode(min(different))}"
