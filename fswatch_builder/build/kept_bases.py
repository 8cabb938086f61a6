"""What earlier builds unpacked and left in the store, for root file systems to begin with.

A tree is known by the chain ID of its layers: those of a base (``Kind.TREE``), or those of a base and of the steps that
are cached on top of it (``Kind.STATE``). A root file system begins with the longest part of its layers that there is a
tree of, and only the rest is unpacked. A tree is looked at before it is believed (belief.py); what stands on it as the
lower layer of an overlay need not wait for that.

When a tree is made: one of a base that nothing is kept of, at once. Where there is a part of it, a tree of all means to
unpack that part a second time. So the rest is unpacked on top, each time, until that has come to as much as the part:
then a tree is made. Whoever changes the last line of a Dockerfile again and again soon waits for nothing, who does it
once has no disk filled, and nobody unpacks more than twice of what would have been best.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from fswatch_builder._native import Baseline, RefusedError, Rootfs, is_multigrain
from fswatch_builder.build.meter import Listener, Meter
from fswatch_builder.build.once import Once, Turns
from fswatch_builder.build.worksite import Base
from fswatch_builder.model.digest import ChainID, DiffID
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.blobs import is_there
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store

if TYPE_CHECKING:
    from fswatch_builder.build.ahead import Ahead, Source
    from fswatch_builder.build.belief import Look
    from fswatch_builder.build.ground import Ground, Ways

_KINDS: Final = (Kind.TREE, Kind.STATE)
#: Trees of results of steps that stay; beyond, the longest unused one goes. Each may be as large as a whole image.
_MOST_STATES: Final = 3
_WAITING: Final = "waiting for another build, which unpacks the same base"
_LOOKING: Final = "waiting until what earlier builds unpacked is looked at"
_PATIENCE_S: Final = 1.0
_NOTE: Final = "unpacked again"


class Presumed(Struct, frozen=True, eq=False):
    """A tree that is looked at, on which something may stand already."""

    kind: Kind
    chain: ChainID
    look: "Look"


class _Held(Struct, frozen=True):
    """A kept tree that nobody removes, and its record; ``presumed`` as long as it is not believed."""

    rootfs: Rootfs
    baseline: Baseline
    presumed: Presumed | None


class KeptBases:
    """The kept trees of one build, each looked at once and held to its end. A context manager, for any thread."""

    def __init__(self, store: Store, tell: Listener, tracker: str = "auto") -> None:
        """Nothing is looked at yet. ``tracker`` is the one that root file systems will be for, or ``auto``."""
        self.tell = tell
        self._store = store
        self._resources = ExitStack()
        self._turns: Turns[ChainID | None] = Turns()
        self._checked: dict[ChainID, Kind] = {}
        self._tracker = tracker
        self._presumed: dict[ChainID, Presumed] = {}
        self._verdicts: Once[Presumed, bool] = Once()
        self._told: set[tuple[ChainID, str]] = set()
        self._ways: Ways | None = None
        self._aheads: dict[ChainID, Ahead] = {}

    def __enter__(self) -> "KeptBases":
        return self

    def __exit__(self, *exc: object) -> None:
        self._resources.close()

    def unpack_ahead(self, path: str) -> "Ahead | None":
        """Begins to unpack a root file system archive that is about to be imported; ``expect`` has to follow.
        None where nothing can be kept.
        """
        from fswatch_builder.build.ahead import WholeFile

        return self._ahead([WholeFile(path)])

    def expect(self, ahead: "Ahead", diff_id: DiffID) -> None:
        """Whoever begins with this layer alone finds it unpacked. If there is a tree of it, nothing more is done."""
        chain = ChainID.over(None, diff_id)
        if self._kind(chain) is not None:
            ahead.close()
        else:
            self._aheads[chain] = ahead

    def coming(self, layers: Sequence[Layer]) -> None:
        """Begins to unpack an image whose blobs are about to arrive, unless some of it is unpacked already, or none of
        them is new: then steps may be cached on top of it, and nobody may need its files. Does not wait.
        """
        stack = _Stack(layers)
        if all(self._store.has(layer.descriptor.digest) for layer in layers) or self._longest(stack):
            return
        ahead = self._ahead([self._store.arriving(layer.descriptor) for layer in layers])
        if ahead is not None:
            self._aheads[stack.chain(len(layers))] = ahead

    def _ahead(self, sources: "Sequence[Source]") -> "Ahead | None":
        from fswatch_builder.build.ahead import Ahead
        from fswatch_builder.tracking.selection import takes_overlay

        place = self._resources.enter_context(self._store.workspace())
        if not self._ways_here(place).without_overlay_unless(takes_overlay(self._tracker)):
            return None
        draft = os.path.join(place, "tree")
        os.mkdir(draft, 0o700)
        ahead = Ahead(sources, draft, self._store.limits)
        self._resources.callback(ahead.close)
        return ahead

    def begin(self, base: Base, layers: Sequence[Layer], directory: str, overlay: bool) -> "Ground | None":
        """A root file system that consists of the first of ``layers``, as many as there is a tree of; ``base`` has the
        first of them. What is written to it is in ``directory``, a workspace; it is the merged view of an overlay only
        if ``overlay``, and may then stand on what is only ``Presumed``.

        None where nothing can be kept. Raises what unpacking raises, and StoreError where a blob is missing.
        """
        from fswatch_builder.build.ground import Way, begin

        if not base.layers:
            return None
        ways = self._ways_here(directory).without_overlay_unless(overlay)
        if not ways:
            return None
        for layer in layers:
            self._store.size(layer.descriptor.digest)  # an image that lacks a blob is told, though no file is missing
        stack = _Stack(layers)
        with self._turns.turn(stack.chain(len(base.layers))):  # of several stages with one base, the first unpacks it
            below = self._longest(stack)
            for goal in (len(base.layers), len(layers)):
                if below < goal and (stack.chain(goal) in self._aheads or self._pays(stack, below, goal)):
                    plain = self._make(base, stack, below, goal, directory, ways)
                    if plain is not None:
                        return plain
                    below = goal
            unneeded = self._aheads.pop(stack.chain(len(base.layers)), None)
            if unneeded is not None:  # another build was first
                unneeded.close()
            if not below:
                return None
            tree = self._hold(stack.chain(below))
            way = None if tree is None else ways.fit(tree.baseline)
            if tree is None or (way is not Way.OVER and not self._is_believed(tree)):
                return self.begin(base, layers, directory, overlay)  # it is gone: with what is left
        if way is None:
            return None
        return begin(way, tree.rootfs, tree.baseline, stack.layers[:below], directory, tree.presumed)

    def holds(self, presumed: Presumed) -> bool:
        """Whether a tree is to be believed: waits for the end of the look. Another is dropped, and it is said why.

        Raises what went wrong with the look.
        """
        return self._verdicts.get(presumed, lambda: self._verdict(presumed))

    def _ways_here(self, directory: str) -> "Ways":
        from fswatch_builder.build.ground import Ways

        with self._turns.turn(None):
            if self._ways is None:
                with self._store.workspace() as grave:
                    self._store.kept.bury_discarded(grave)
                homes = [self._store.kept.home(kind) for kind in _KINDS]
                ours = all(_is_ours_alone(above) for above in (os.path.dirname(homes[0]), *homes))
                device = os.stat(directory).st_dev
                can_move = ours and all(os.stat(home).st_dev == device for home in homes)
                self._ways = Ways.of(directory) if can_move else Ways(over=False, copy=False)
            return self._ways

    # Finding one.

    def _longest(self, stack: "_Stack") -> int:
        """How many of the layers there is a tree of; 0: none."""
        counts = range(len(stack.layers), 0, -1)
        return next((count for count in counts if self._kind(stack.chain(count)) is not None), 0)

    def _kind(self, chain: ChainID) -> Kind | None:
        if chain in self._checked:
            return self._checked[chain]
        return next((kind for kind in _KINDS if is_there(self._store.kept.path(kind, chain))), None)

    def _hold(self, chain: ChainID) -> _Held | None:
        """The tree of a state, held from now on, and looked at unless it was before. None if it is gone."""
        kind = self._kind(chain)
        if kind is None:
            return None
        path = self._store.kept.path(kind, chain)
        try:
            presumed = None if chain in self._checked else self._presumed.get(chain) or self._presume(kind, chain)
            rootfs = Rootfs(os.fsencode(f"{path}/rootfs")) if presumed is None else presumed.look.rootfs
            return _Held(rootfs, Baseline.open(os.fsencode(f"{path}/baseline")), presumed)
        except (FileNotFoundError, NotADirectoryError, RefusedError):
            self._checked.pop(chain, None)
            self._drop_unless_believed(kind, chain)
            return None

    def _presume(self, kind: Kind, chain: ChainID) -> Presumed:
        from fswatch_builder.build.belief import Look

        # First leased, then looked at: what was seen before a lease may be gone.
        found = self._resources.enter_context(self._store.kept.use(kind, chain))
        look = Look(self._store.kept.path(kind, chain), read_all=not found.of_this_boot)
        self._resources.callback(look.close)
        return self._presumed.setdefault(chain, Presumed(kind, chain, look))

    def _is_believed(self, tree: _Held) -> bool:
        return tree.presumed is None or self.holds(tree.presumed)

    def _verdict(self, presumed: Presumed) -> bool:
        if not presumed.look.ends_within(_PATIENCE_S):
            self.tell.note(_LOOKING)
        fault = presumed.look.fault()
        if fault is not None:
            self._say_why(presumed.chain, fault)  # also where another build is faster in dropping it
            self._drop_unless_believed(presumed.kind, presumed.chain)
            return False
        self._believe(presumed.kind, presumed.chain, was_read=presumed.look.read_all)
        return True

    def _drop_unless_believed(self, kind: Kind, chain: ChainID) -> None:
        """Looked at once more, in a turn: another build may have put a new one there."""
        self._presumed.pop(chain, None)
        with self._store.kept.turn(kind, chain, self._say_that_we_wait):
            self._look_in_turn(kind, chain)

    def _look_in_turn(self, kind: Kind, chain: ChainID) -> bool:
        """Whether there is a tree to be believed. Another is dropped, and it is said why."""
        from fswatch_builder.build.belief import difference

        kept = self._store.kept
        with kept.use(kind, chain) as found:
            if found.path is None:
                return False
            fault = difference(found.path, read_all=not found.of_this_boot)
            if fault is None:
                self._believe(kind, chain, was_read=not found.of_this_boot)
            else:
                self._say_why(chain, fault)
                kept.discard(kind, chain)
            return fault is None

    def _believe(self, kind: Kind, chain: ChainID, *, was_read: bool) -> None:
        if was_read:
            self._store.kept.believe(kind, chain)
        self._checked[chain] = kind
        self.tell.note("base kept from an earlier build")

    def _say_why(self, chain: ChainID, fault: str) -> None:
        if (chain, fault) not in self._told:
            self._told.add((chain, fault))
            self.tell.note(f"the base kept from an earlier build is unpacked anew: {fault}")

    def _say_that_we_wait(self) -> None:
        self.tell.note(_WAITING)

    # Making one.

    def _pays(self, stack: "_Stack", below: int, goal: int) -> bool:
        """Whether to make a tree of ``goal`` layers, there being one of ``below``: see the module.

        Bytes of blobs stand for the time that unpacking takes.
        """
        key = stack.chain(goal).raw
        before = self._store.memory.recall(_NOTE, key)
        spent = (int(before) if before is not None else 0) + stack.size(below, goal)
        if spent >= stack.size(0, below):
            return True
        self._store.memory.note(_NOTE, key, str(spent).encode())
        return False

    def _make(
        self, base: Base, stack: "_Stack", below: int, goal: int, directory: str, ways: "Ways"
    ) -> "Ground | None":
        """Makes a tree of ``goal`` layers; the root file system itself where that cannot be kept."""
        from fswatch_builder.build.belief import everything
        from fswatch_builder.build.ground import Ground

        kept, chain = self._store.kept, stack.chain(goal)
        kind = Kind.TREE if goal <= len(base.layers) else Kind.STATE
        self._resources.enter_context(kept.use(kind, chain))
        with kept.turn(kind, chain, self._say_that_we_wait):
            if self._look_in_turn(kind, chain):
                return None
            draft, rootfs, baseline = self._unpacked(stack, below, goal, directory, ways)
            if not is_multigrain(os.fsencode(draft)):
                # All was written since the clock of its records was read. One more look, later, and they are evidence.
                baseline.advance(baseline.reconcile(rootfs, everything()))
            baseline.save(os.fsencode(f"{draft}/baseline"))
            if ways.fit(baseline) is None:
                self.tell.note("the base is not kept: an overlay would hide its character device 0/0")
                return Ground(rootfs, baseline, stack.layers[:goal])
            steps = goal - len(base.layers)
            label = base.name if steps <= 0 else f"{base.name} and {steps} layers on top"
            kept.publish(kind, chain, draft, label=label)
            self._checked[chain] = kind
        if kind is Kind.STATE:
            kept.keep_last(kind, _MOST_STATES)
        return None

    def _unpacked(
        self, stack: "_Stack", below: int, goal: int, directory: str, ways: "Ways"
    ) -> tuple[str, Rootfs, Baseline]:
        """The layers in a directory of their own, with the record of them."""
        from fswatch_builder.build.unpacking import new_rootfs, unpack_all

        ahead = self._aheads.pop(stack.chain(goal), None)
        if ahead is not None:
            with Meter(self.tell, "unpacking", ahead.size) as meter:
                found = ahead.result([layer.diff_id for layer in stack.layers[:goal]], meter)
            if found is not None:
                return ahead.draft, *found
        draft = os.path.join(directory, f"tree-{goal}")
        os.mkdir(draft, 0o700)
        rootfs, baseline = new_rootfs(f"{draft}/rootfs")
        first = 0
        tree = self._hold(stack.chain(below)) if below and ways.copy else None
        if tree is not None and self._is_believed(tree):
            baseline, first = tree.baseline.clone_tree(tree.rootfs, rootfs), below
        unpack_all(stack.layers[first:goal], self._store, rootfs, baseline, self.tell)
        return draft, rootfs, baseline


class _Stack:
    """Layers, and the states that the first of them make."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)
        self._chains: list[ChainID] = []
        chain: ChainID | None = None
        for layer in self.layers:
            chain = ChainID.over(chain, layer.diff_id)
            self._chains.append(chain)

    def chain(self, count: int) -> ChainID:
        """Of the first ``count``, at least one."""
        return self._chains[count - 1]

    def size(self, first: int, end: int) -> int:
        """Of their blobs, in bytes."""
        return sum(layer.descriptor.size for layer in self.layers[first:end])


def _is_ours_alone(directory: str) -> bool:
    """Whether nobody else may put anything there. It is made if there is none."""
    with suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    status = os.stat(directory)
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
