"""One layer of 8,000 files, from the disk to a blob in the store, against each part of it alone.

The parts work at the same time, so the slowest sets the pace where there is a processor for each. Where there are
fewer, what all take together does: processor time has a row of its own, and so has the time that so many need at least.
"""

import hashlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

from benchmarks.corpora.package import FILES, make_package
from benchmarks.row import Row, in_turns, row, seconds
from fswatch_builder._native import Baseline, HintSet, Rootfs
from fswatch_builder.layering.writer import write_layer
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.packing import CHUNK, Recipe, compressor
from fswatch_builder.oci.store import Store

MOST_RATIO = 1.1

Work = Callable[[], object]
Part = Callable[[], Work]
"""Makes ready what is not measured, and returns what is."""


def pack_rows(work: str, repeat: int) -> Iterator[Row]:
    """Each compression against the slowest of tar, SHA-256 and the compressor, each of which has the machine alone."""
    root = os.path.join(work, "package")
    make_package(root)
    tar = subprocess.run(["tar", "-C", root, "-cf", "-", "."], check=True, stdout=subprocess.PIPE).stdout
    with Store.open(os.path.join(work, "store")) as store:
        for compression in (Compression.ZSTD, Compression.GZIP):
            parts: dict[str, Part] = {
                "ours": _ours(root, store, compression),
                "tar": lambda: lambda: _tar(root),
                "SHA-256": lambda: lambda: hashlib.sha256(tar),
                compression.value: partial(partial, _compress, tar, compression),
            }
            times = _figures(parts, seconds, repeat)
            processor = _figures(parts, _processor_seconds, repeat)
            yield from _rows(_Figures(compression.value, times, processor), len(tar))


@dataclass(frozen=True, slots=True)
class _Figures:
    """Of one compressor and of all beside it, in milliseconds, by part; "ours" is among them."""

    name: str
    times: dict[str, list[float]]
    processor: dict[str, list[float]]

    @property
    def slowest(self) -> str:
        """The part that sets the pace where each has a processor."""
        return max((part for part in self.times if part != "ours"), key=lambda part: median(self.times[part]))

    @property
    def together(self) -> list[float]:
        """Processor time of all parts. The tar is digested, and so is the content of each file in it."""
        names = ("tar", "SHA-256", self.name)
        runs = zip(*(self.processor[name] for name in names), strict=True)
        return [tar + 2 * digest + packer for tar, digest, packer in runs]

    def least(self, processors: int) -> list[float]:
        """No less time can it take on so many processors, were nothing lost between the parts."""
        slowest = self.times[self.slowest]
        return [max(one, all_ / processors) for one, all_ in zip(slowest, self.together, strict=True)]


def _rows(figures: _Figures, size: int) -> Iterator[Row]:
    name, ours, slowest = figures.name, figures.times["ours"], figures.slowest
    processors = len(os.sched_getaffinity(0))
    for part, values in figures.times.items():
        if part != "ours":
            yield row(f"pack {FILES:,} files: {part} alone", part, FILES, values, "ms")
    yield row(
        f"pack {FILES:,} files, {size / 1e6:.0f} MB",
        name,
        FILES,
        ours,
        "ms",
        peer=f"the slowest part, {slowest}",
        peer_values=figures.times[slowest],
        most=MOST_RATIO,
    )
    yield row(
        f"pack {FILES:,} files: processor time",
        name,
        FILES,
        figures.processor["ours"],
        "ms",
        peer=f"the parts together, for {processors} processors",
        peer_values=figures.together,
    )
    yield row(
        f"pack {FILES:,} files: what the processors allow",
        name,
        FILES,
        ours,
        "ms",
        peer=f"all parts' processor time / {processors}, or the slowest part",
        peer_values=figures.least(processors),
    )


def _figures(parts: dict[str, Part], measure: Callable[[Work], float], repeat: int) -> dict[str, list[float]]:
    """In milliseconds."""
    runs = {name: lambda part=part: measure(part()) * 1000 for name, part in parts.items()}
    return in_turns(runs, repeat)


def _processor_seconds(work: Work) -> float:
    """Of all threads and children."""

    def now() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    before = now()
    work()
    return now() - before


def _ours(root: str, store: Store, compression: Compression) -> Part:
    rootfs = Rootfs(os.fsencode(root))
    nothing = Baseline.empty(rootfs)
    everywhere = HintSet()
    everywhere.add(b"", "subtree")

    def ready() -> Work:
        changes = nothing.reconcile(rootfs, everywhere)  # that is not packing
        if len(changes) < FILES:
            raise AssertionError(f"only {len(changes)} changes")
        return lambda: write_layer(rootfs, nothing, changes, store, compression)

    return ready


def _tar(root: str) -> None:
    with subprocess.Popen(["tar", "-C", root, "-cf", "-", "."], stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise AssertionError("it was started with a pipe")
        while process.stdout.read(CHUNK):  # tar sees through /dev/null and reads no file then
            pass


def _compress(tar: bytes, compression: Compression) -> None:
    packer = compressor(Recipe(compression))
    view = memoryview(tar)
    for at in range(0, len(view), CHUNK):
        packer.compress(view[at : at + CHUNK])
    packer.flush()
