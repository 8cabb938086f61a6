"""What a build takes that has one file of 10 GB in a layer: sparse, so that the disk is not what is measured."""

import os
from collections.abc import Iterator

from benchmarks.measure import resident_kib
from benchmarks.peers.ours import Ours
from benchmarks.row import Row, row

SIZE = 10 << 30
MOST_MIB = 100


def memory_rows(rootfs: str, work: str) -> Iterator[Row]:
    """The largest process of the build, the layer compressed as by default; and the time, part of the price."""
    peer = Ours("auto")
    peer.prepare(rootfs, "", work)
    context = os.path.join(work, "large")
    os.mkdir(context)
    with open(os.path.join(context, "Dockerfile"), "w") as file:
        file.write(f"FROM bench-base\nRUN truncate -s {SIZE} /large\n")
    # The largest child counts what it was before it executed the builder: this process, with what it has in hand.
    own = resident_kib()
    cost = peer.export(context, os.path.join(work, "large.tar"), fresh=True)
    peer.close()
    if cost.peak_kib <= own:
        raise AssertionError(f"this process takes {own} KiB itself: measure memory alone, with --only memory")
    yield row("memory of a build with a file of 10 GB", peer.name, 1, [cost.peak_kib / 1024], "MiB", most=MOST_MIB)
    yield row("time of a build with a file of 10 GB", peer.name, 1, [cost.seconds], "s")
