"""What a build takes that has one file of 10 GB in a layer: sparse, so that the disk is not what is measured."""

import os
from collections.abc import Iterator

from benchmarks.row import Row, row
from fswatch_builder.research.peers.base_archive import base_archive
from fswatch_builder.research.peers.ours import Ours
from fswatch_builder.research.peers.peer import BASE, Job

SIZE = 10 << 30
MOST_MIB = 100


def memory_rows(rootfs: str, work: str) -> Iterator[Row]:
    """The largest process of the build, the layer compressed as by default; and the time, part of the price."""
    peer = Ours("auto")
    archive = os.path.join(work, "base.tar")
    base_archive(rootfs, f"{BASE}:latest", archive, work)
    peer.prepare({BASE: archive}, work)
    context = os.path.join(work, "large")
    os.mkdir(context)
    dockerfile = os.path.join(context, "Dockerfile")
    with open(dockerfile, "w") as file:
        file.write(f"FROM {BASE}\nRUN truncate -s {SIZE} /large\n")
    cost = peer.export(Job(context, dockerfile), os.path.join(work, "large.tar"), fresh=True)
    peer.close()
    yield row("memory of a build with a file of 10 GB", peer.name, 1, [cost.peak_kib / 1024], "MiB", most=MOST_MIB)
    yield row("time of a build with a file of 10 GB", peer.name, 1, [cost.seconds], "s")
