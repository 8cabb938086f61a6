"""``python -m benchmarks report``: what `bench` finds out here, as the page and the figure that the README shows."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from benchmarks.corpora.tree import make_rootfs
from benchmarks.recorded.figure import finding_out, write_figures
from benchmarks.recorded.readme import show
from fswatch_builder.build.request import Request
from fswatch_builder.cli.bench_build_text import BuildProgress, build_lines
from fswatch_builder.cli.bench_text import Progress, lines
from fswatch_builder.errors import BuildError
from fswatch_builder.oci.whole import whole_file
from fswatch_builder.research import machine, strategies
from fswatch_builder.research.bench import caches
from fswatch_builder.research.bench.campaign import Campaign
from fswatch_builder.research.bench.document import Document, document
from fswatch_builder.research.bench.room import check_disk
from fswatch_builder.research.bench.rows import Plan
from fswatch_builder.research.builds.bases import read
from fswatch_builder.research.builds.campaign import BuildCampaign
from fswatch_builder.research.builds.contestants import contestants, digest, ways
from fswatch_builder.research.builds.document import BuildDocument, build_document
from fswatch_builder.research.builds.project import Project
from fswatch_builder.research.builds.rows import BuildPlan
from fswatch_builder.research.corpora.registry import chosen
from fswatch_builder.research.peers import registry as peers
from fswatch_builder.research.peers.ours import beside_ours
from fswatch_builder.research.report.page import page
from fswatch_builder.research.workloads import registry as workloads

RESULTS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "results")
README = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "README.md")
CORPORA = ("wide-1k", "wide-10k", "site-packages-10k", "wide-100k")
WORKLOADS = ("nothing", "one-file", "one-percent", "disguised", "untar", "storm-writes")


class Part(NamedTuple):
    """Trees that are measured in one run of ``bench``, within a ``share`` of the time that is left by then.

    ``peers``: other builders take part. ``cache``: what trials begin from; what is to be cold lies on a disk.
    """

    corpora: Sequence[str]
    workloads: Sequence[str]
    share: float
    peers: bool = False
    cache: str = caches.WARM


PARTS = {
    "trees": Part(CORPORA, WORKLOADS, 0.25),
    "builders": Part(("wide-10k",), ("one-file", "disguised", "untar"), 0.25, peers=True),
    "debian": Part(("debian",), ("one-file", "apt-install"), 0.85, peers=True),
    "cold": Part(("wide-10k",), ("nothing", "one-file"), 1.0, cache=caches.COLD),
}
"""In this order."""
_DRAWN = "trees"
"""What the figure is drawn from."""
DOCKERFILE = "FROM base\nCOPY file /file\n" + "".join(f"RUN echo {n} > /changed-{n}\n" for n in range(5))
_MOST = 15
"""Trials of each on a tree: what small ones need no time for is left to large ones."""


def check(part: Part, directory: str) -> None:
    """UsageError, BuildError if it cannot be measured there: told before anything is."""
    caches.check(part.cache, directory)
    sources = [chosen(name) for name in part.corpora]
    for source in sources:
        source.check()
    largest = max(sources, key=lambda one: one.bytes_on_disk)
    check_disk(directory, largest.bytes_on_disk, largest.name)
    workloads.usable(part.workloads, by_name=True)


def trees(part: Part, directory: str, seconds: float) -> Document:
    """Every strategy on made trees, as often as there is time for."""
    sources = [chosen(name) for name in part.corpora]
    work = workloads.usable(part.workloads, by_name=True)
    here, absent = peers.chosen(peers.AUTO if part.peers else peers.NONE)
    builders = beside_ours(here)
    plan = Plan(
        corpora=tuple(source.name for source in sources),
        workloads=tuple(workload.name for workload in work),
        strategies=(strategies.UNWATCHED, *strategies.strategies()),
        repeat=_MOST,
        seed=1,
        cache=part.cache,
        machine=machine.describe(directory),
        builders=contestants((), builders),
        absent=tuple(absent),
    )
    campaign = Campaign(plan, sources, work, directory, named=False, seconds=seconds, peers=builders)
    with Progress(plan, 0) as progress:
        rows = list(campaign.run(progress))
    return document(plan, rows, taken=_now(), command=_command())


def builds(files: int, directory: str, repeat: int) -> BuildDocument:
    """A Dockerfile with five RUNs on a base of so many files, by this builder and by those that are installed."""
    with tempfile.TemporaryDirectory(dir=directory, prefix="recorded-") as place:
        base, context = os.path.join(place, "base"), os.path.join(place, "context")
        make_rootfs(base, files)
        os.mkdir(context)
        for name, content in (("Dockerfile", DOCKERFILE), ("file", "content\n")):
            with open(os.path.join(context, name), "w") as file:
                file.write(content)
        request = Request(context, os.path.join(context, "Dockerfile"), contexts={"base": base})
        script = read(request)
        here, absent = peers.chosen(peers.AUTO)
        plan = BuildPlan(
            context=f"five RUNs on a base of {files:,} files",
            dockerfile=digest(script),
            contestants=contestants(ways().values(), here),
            absent=tuple(absent),
            repeat=repeat,
            seed=1,
            machine=machine.describe(directory),
        )
        project = Project(context, contexts=(f"base={base}",))
        campaign = BuildCampaign(plan, project, script, here, directory, os.path.join(place, "no-store"))
        with BuildProgress(0, plan.builds) as progress:
            rows = list(campaign.run(progress))
        return build_document(plan, rows, campaign.differences, taken=_now(), command=_command())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _command() -> str:
    return " ".join(["python -m benchmarks", *sys.argv[1:]])


def record(name: str, of_trees: Mapping[str, Document], of_builds: BuildDocument, directory: str) -> Iterator[str]:
    """Writes all that there is to keep, each file whole; their names as they are there."""
    documents: dict[str, Document | BuildDocument] = {**of_trees, "builds": of_builds}
    written = {
        **{f"{name}-{part}.json": _json(document) for part, document in documents.items()},
        f"{name}.html": page(list(of_trees.values()), [], [of_builds]),
        **write_figures(name, finding_out(of_trees[_DRAWN])),
    }
    for file_name, content in written.items():
        with whole_file(os.path.join(directory, file_name)) as file:
            file.write(content)
        yield file_name


def _json(document: Document | BuildDocument) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def main(argv: list[str]) -> None:
    """Prints what comes out; records it only if everything was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="repeatable (default: all); trees is always there"
    )
    parser.add_argument(
        "--corpus", action="append", help=f"of the part trees; repeatable (default: {', '.join(CORPORA)})"
    )
    parser.add_argument("--minutes", type=float, default=20, help="for all of it, about (default: 20)")
    parser.add_argument("--builds", type=int, default=5, help="of each builder (default: 5)")
    parser.add_argument("--files", type=int, default=10_000, help="of the base that is built on (default: 10000)")
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where trees and stores are put")
    parser.add_argument(
        "--disk", default="/var/tmp", help="where trees are put that are to be cold (default: /var/tmp)"
    )
    parser.add_argument("--record", metavar="NAME", help="write results/NAME*, and show the figure in README.md")
    parser.add_argument("--into", default=RESULTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if os.geteuid() != 0:
        sys.exit("benchmarks: the builders under measurement need root")
    until = time.monotonic() + arguments.minutes * 60
    parts = {name: part for name, part in PARTS.items() if name in (_DRAWN, *(arguments.part or PARTS))}
    parts[_DRAWN] = parts[_DRAWN]._replace(corpora=arguments.corpus or CORPORA)
    places = dict.fromkeys(parts, arguments.directory)
    places |= {name: arguments.disk for name, part in parts.items() if part.cache == caches.COLD}
    try:
        for name, part in parts.items():
            check(part, places[name])
        of_builds = builds(arguments.files, arguments.directory, arguments.builds)
        print("\n".join(build_lines(of_builds)), flush=True)
        of_trees = {}
        for name, part in parts.items():
            of_trees[name] = trees(part, places[name], max(0.0, until - time.monotonic()) * part.share)
            print("\n".join(["", f"{name}:", *lines(of_trees[name])]), flush=True)
    except BuildError as error:
        sys.exit(f"benchmarks: {error.what}")
    if arguments.record:
        for written in record(arguments.record, of_trees, of_builds, arguments.into):
            print(f"wrote {os.path.join(arguments.into, written)}")
        if arguments.into == RESULTS:
            show(README, arguments.record, of_trees[_DRAWN])
