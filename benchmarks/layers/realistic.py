"""A build as people have them, the image in a file at its end: fresh and from the cache, all builders in turns."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence

from benchmarks.corpora.package import make_package
from benchmarks.corpora.tree import make_rootfs
from benchmarks.row import Row, in_turns, row
from fswatch_builder.research.peers.measuring import Cost
from fswatch_builder.research.peers.peer import BASE, Job, Peer

COPIED = 5_000
DOCKERFILE = f"""FROM {BASE}
COPY files /srv/files
RUN mkdir /opt && tar -xf /package.tar -C /opt
RUN rm -r /opt/package/0* /opt/package/1* /opt/package/2* /opt/package/3*
RUN chmod 600 /opt/package/50/*
"""
MOST_CACHED_S = 0.2


def make_base(directory: str, work: str) -> None:
    """A root file system of 10,000 files with the package in it, as a tar of 8,000 files."""
    make_rootfs(directory, 10_000)
    package = os.path.join(work, "package")
    make_package(package)
    shutil.make_archive(os.path.join(directory, "package"), "tar", work, "package")
    shutil.rmtree(package)


def make_job(directory: str) -> Job:
    """The context: 5,000 small files and the Dockerfile."""
    make_package(os.path.join(directory, "files"), COPIED, COPIED * 2_000)
    dockerfile = os.path.join(directory, "Dockerfile")
    with open(dockerfile, "w") as file:
        file.write(DOCKERFILE)
    return Job(directory, dockerfile)


def realistic_rows(peers: Sequence[Peer], job: Job, work: str, repeat: int) -> Iterator[Row]:
    """Ours against the fastest other one; and each one's own figure."""
    output = os.path.join(work, "image.tar")

    def build(peer: Peer, *, fresh: bool, cold: bool) -> Callable[[], Cost]:
        def run() -> Cost:
            if cold:
                _drop_caches()
            if os.path.exists(output):
                os.unlink(output)
            return peer.export(job, output, fresh=fresh)

        return run

    for what, fresh, cold in (
        ("realistic build with output, warm", True, False),
        ("realistic build with output, cold", True, True),
        ("the same, fully cached, warm", False, False),
        ("the same, fully cached, cold", False, True),
    ):
        runs = {peer.name: build(peer, fresh=fresh, cold=cold) for peer in peers}
        figures = {name: [cost.seconds for cost in costs] for name, costs in in_turns(runs, repeat).items()}
        yield from _rows(what, figures, most=None if fresh else MOST_CACHED_S)


def _rows(what: str, figures: dict[str, list[float]], most: float | None) -> Iterator[Row]:
    (ours, own), *others = figures.items()
    fastest = min(others, key=lambda item: min(item[1]), default=None)
    if most is not None or fastest is None:
        yield row(what, ours, 0, own, "s", most=most)
    else:
        yield row(what, ours, 0, own, "s", peer=fastest[0], peer_values=fastest[1], most=1)
    for name, values in others:
        yield row(what, name, 0, values, "s")


def _drop_caches() -> None:
    """What is read again comes from the disk (proc_sys_vm(5))."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as control:
        control.write("3")
