"""One layer of 8,000 files, from the disk to a blob in the store, against each part of it alone.

The parts work at the same time, so the slowest sets the pace where there is a processor for each. Where there are
fewer, what all take together does: processor time has a row of its own.
"""

import hashlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from functools import partial

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
            yield from _time_rows(parts, compression.value, len(tar), repeat)
            yield from _processor_rows(parts, compression.value, repeat)


def _time_rows(parts: dict[str, Part], name: str, size: int, repeat: int) -> Iterator[Row]:
    figures = _figures(parts, seconds, repeat)
    ours = figures.pop("ours")
    for part, values in figures.items():
        yield row(f"pack {FILES:,} files: {part} alone", part, FILES, values, "ms")
    slowest = max(figures, key=lambda part: sorted(figures[part])[repeat // 2])
    yield row(
        f"pack {FILES:,} files, {size / 1e6:.0f} MB",
        name,
        FILES,
        ours,
        "ms",
        peer=f"the slowest part, {slowest}",
        peer_values=figures[slowest],
        most=MOST_RATIO,
    )


def _processor_rows(parts: dict[str, Part], name: str, repeat: int) -> Iterator[Row]:
    figures = _figures(parts, _processor_seconds, repeat)
    # The tar is digested, and so is the content of each file in it.
    together = [tar + 2 * digest + packer for tar, digest, packer in zip(*list(figures.values())[1:], strict=True)]
    yield row(
        f"pack {FILES:,} files: processor time",
        name,
        FILES,
        figures["ours"],
        "ms",
        peer=f"the parts together, for {len(os.sched_getaffinity(0))} processors",
        peer_values=together,
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
