"""One layer of 8,000 files, from the disk to a blob in the store, against each part of it alone."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator

from benchmarks.corpora.package import FILES, make_package
from benchmarks.row import Row, in_turns, row, seconds
from fswatch_builder._native import Baseline, HintSet, Rootfs
from fswatch_builder.layering.writer import write_layer
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.packing import CHUNK, Recipe, compressor
from fswatch_builder.oci.store import Store

MOST_RATIO = 1.1


def pack_rows(work: str, repeat: int) -> Iterator[Row]:
    """Each compression against the slowest of tar, SHA-256 and the compressor, each of which has the machine alone."""
    root = os.path.join(work, "package")
    make_package(root)
    tar = subprocess.run(["tar", "-C", root, "-cf", "-", "."], check=True, stdout=subprocess.PIPE).stdout
    with Store.open(os.path.join(work, "store")) as store:
        for compression in (Compression.ZSTD, Compression.GZIP):
            runs = {
                "ours": _ours(root, store, compression),
                "tar": lambda: seconds(lambda: _tar(root)),
                "SHA-256": lambda: seconds(lambda: hashlib.sha256(tar)),
                compression.value: _compressor(tar, compression),
            }
            figures = in_turns(runs, repeat)
            ours = [each * 1000 for each in figures.pop("ours")]
            for name, values in figures.items():
                yield row(f"pack {FILES:,} files: {name} alone", name, FILES, [each * 1000 for each in values], "ms")
            slowest = max(figures, key=lambda name: sorted(figures[name])[repeat // 2])
            yield row(
                f"pack {FILES:,} files, {len(tar) / 1e6:.0f} MB",
                compression.value,
                FILES,
                ours,
                "ms",
                peer=f"the slowest part, {slowest}",
                peer_values=[each * 1000 for each in figures[slowest]],
                most=MOST_RATIO,
            )


def _ours(root: str, store: Store, compression: Compression) -> Callable[[], float]:
    rootfs = Rootfs(os.fsencode(root))
    nothing = Baseline.empty(rootfs)
    everywhere = HintSet()
    everywhere.add(b"", "subtree")

    def run() -> float:
        changes = nothing.reconcile(rootfs, everywhere)  # that is not packing
        taken = seconds(lambda: write_layer(rootfs, nothing, changes, store, compression))
        if len(changes) < FILES:
            raise AssertionError(f"only {len(changes)} changes")
        return taken

    return run


def _tar(root: str) -> None:
    with subprocess.Popen(["tar", "-C", root, "-cf", "-", "."], stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise AssertionError("it was started with a pipe")
        while process.stdout.read(CHUNK):  # tar sees through /dev/null and reads no file then
            pass


def _compressor(tar: bytes, compression: Compression) -> Callable[[], float]:
    def run() -> None:
        packer = compressor(Recipe(compression))
        view = memoryview(tar)
        for at in range(0, len(view), CHUNK):
            packer.compress(view[at : at + CHUNK])
        packer.flush()

    return lambda: seconds(run)
