"""Builders on a tree: each build is a row beside those of the strategies, and its layers are judged as they are."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from msgspec import Struct

from fswatch_builder.errors import BuildError
from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.oci.store import Store
from fswatch_builder.research.bench.engine import Place
from fswatch_builder.research.bench.layer_judge import judged, listed
from fswatch_builder.research.bench.room import bytes_below, check_room
from fswatch_builder.research.bench.rows import Cell, ImageTrial
from fswatch_builder.research.bench.tree_image import TREE, jobs_of, write_base
from fswatch_builder.research.builds.likeness import taken_in
from fswatch_builder.research.peers.measuring import PeerError
from fswatch_builder.research.peers.peer import BASE, Job, Peer
from fswatch_builder.research.peers.private import private_place
from fswatch_builder.research.workloads.workload import Workload

Builder = Callable[[Cell], ImageTrial]
"""One trial of a builder. BuildError if it cannot."""

_COPIES = 4
"""What a builder takes of disk, in times of the tree: the base as it keeps it, unpacked, a build, an image."""


class _Found(Struct, frozen=True):
    """What the layers for one workload hold: the same every time, so it is looked at once."""

    listed: int
    missed: int
    spurious: int


@contextmanager
def builders(
    peers: Sequence[Peer],
    there: Place,
    workloads: Sequence[Workload],
    directory: str,
    begins: Callable[[str], None],
) -> Iterator[Mapping[str, Builder]]:
    """How each does a trial, by name. One that cannot raises BuildError then. ``directory`` takes all that they write.

    ``begins`` is told what may take a while. BuildError if the base cannot be made.
    """
    check_room(directory, bytes_below(there.pristine) * _COPIES * len(peers))
    with private_place(directory) as home, ExitStack() as stack:
        begins("making it an image, for other builders")
        archive = os.path.join(home, "base.tar")
        write_base(there.pristine, there.scratch, workloads, archive, home)
        store = os.path.join(home, "store")
        below = _diff_ids(store, taken_in(store, archive))
        jobs = jobs_of(workloads, there.commands, there.scratch, home)
        ready: dict[str, Builder] = {}
        for number, peer in enumerate(peers):
            begins(f"{peer.name}: bringing the image to it")
            work = os.path.join(home, f"peer-{number}")
            os.mkdir(work)
            stack.callback(peer.close)
            try:
                peer.prepare({BASE: archive}, work)
            except PeerError as error:
                ready[peer.name] = _refusing(error)
            else:
                ready[peer.name] = _OneBuilder(peer, jobs, there, store, below, home)
        yield ready


def _refusing(error: PeerError) -> Builder:
    def refuse(cell: Cell) -> ImageTrial:
        del cell
        raise error

    return refuse


def _diff_ids(store_directory: str, manifest: str) -> list[DiffID]:
    with Store.open(store_directory) as store:
        return [layer.diff_id for layer in store.load_image(Digest(manifest)).layers]


class _OneBuilder:
    """One builder on one tree."""

    def __init__(
        self, peer: Peer, jobs: Mapping[str, Job], there: Place, store: str, below: Sequence[DiffID], home: str
    ) -> None:
        self._peer, self._jobs, self._there = peer, jobs, there
        self._store, self._below = store, list(below)
        self._output = os.path.join(home, "out.tar")
        self._found: dict[str, _Found] = {}

    def __call__(self, cell: Cell) -> ImageTrial:
        """Builds. BuildError."""
        job = self._jobs.get(cell.workload)
        if job is None:
            raise PeerError("more than programs would have to be brought into the image for this command")
        # First of all: that build unpacks the base, for builders that keep it.
        if cell.workload not in self._found:
            self._found[cell.workload] = self._look(job, self._there.truth(cell.workload))
        found = self._found[cell.workload]
        self._there.before()
        built = self._peer.build(job)
        return ImageTrial(
            whole_s=built.cost.seconds,
            run_s=built.runs[-1] if built.runs else None,
            cpu_s=None if self._peer.has_daemon else built.cost.cpu_s,
            peak_rss=None if self._peer.has_daemon else built.cost.peak_kib * 1024,
            listed=found.listed,
            missed=found.missed,
            spurious=found.spurious,
        )

    def _look(self, job: Job, truth: Mapping[bytes, str]) -> _Found:
        """Not measured: the image is written to a file, and read in."""
        try:
            self._peer.export(job, self._output, fresh=False)
            manifest = taken_in(self._store, self._output)
        finally:
            if os.path.exists(self._output):
                os.unlink(self._output)
        with Store.open(self._store) as store:
            layers = store.load_image(Digest(manifest)).layers
            if [layer.diff_id for layer in layers[: len(self._below)]] != self._below:
                raise BuildError("its image does not begin with the layers of its base, so they cannot be told apart")
            names = listed(store, layers[len(self._below) :], TREE)
        missed, spurious = judged(names, truth)
        return _Found(len(names.there) + len(names.gone), missed, spurious)
