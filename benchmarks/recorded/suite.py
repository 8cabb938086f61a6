"""``python -m benchmarks report``: what `bench` finds out here, as the page and the figure that the README shows."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from benchmarks.corpora.tree import make_rootfs
from benchmarks.recorded.figure import finding_out, write_figures
from benchmarks.recorded.readme import show
from fswatch_builder.build.builder import Request
from fswatch_builder.cli.bench_build_text import BuildProgress, build_lines
from fswatch_builder.cli.bench_text import Progress, lines
from fswatch_builder.oci.whole import whole_file
from fswatch_builder.research import machine, strategies
from fswatch_builder.research.bench.campaign import Campaign
from fswatch_builder.research.bench.document import Document, document
from fswatch_builder.research.bench.room import check_disk
from fswatch_builder.research.bench.rows import Plan
from fswatch_builder.research.builds.bases import read
from fswatch_builder.research.builds.campaign import BuildCampaign
from fswatch_builder.research.builds.contestants import contestants, digest
from fswatch_builder.research.builds.document import BuildDocument, build_document
from fswatch_builder.research.builds.project import Project
from fswatch_builder.research.builds.rows import Absent, BuildPlan
from fswatch_builder.research.corpora.registry import chosen
from fswatch_builder.research.peers import registry as peers
from fswatch_builder.research.report.page import page
from fswatch_builder.research.workloads import registry as workloads

RESULTS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "results")
README = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "README.md")
CORPORA = ("wide-1k", "wide-10k", "site-packages-10k", "wide-100k")
WORKLOADS = ("nothing", "one-file", "one-percent", "disguised", "untar", "storm-writes")
DOCKERFILE = "FROM base\nCOPY file /file\n" + "".join(f"RUN echo {n} > /changed-{n}\n" for n in range(5))
_SHARE_OF_TREES = 0.85
"""Of the time there is; the rest is for builds, whose number is given."""


_MOST = 15
"""Trials of each on a tree: what small ones need no time for is left to large ones."""


def trees(names: Sequence[str], directory: str, seconds: float) -> Document:
    """Every strategy on made trees, as often as there is time for."""
    sources = [chosen(name) for name in names]
    largest = max(sources, key=lambda one: one.bytes_on_disk)
    check_disk(directory, largest.bytes_on_disk, largest.name)
    work = workloads.usable(WORKLOADS, by_name=False)
    plan = Plan(
        corpora=tuple(source.name for source in sources),
        workloads=tuple(workload.name for workload in work),
        strategies=(strategies.UNWATCHED, *strategies.strategies()),
        repeat=_MOST,
        seed=1,
        cache="warm",
        machine=machine.describe(directory),
    )
    campaign = Campaign(plan, sources, work, directory, named=False, seconds=seconds)
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
            contestants=contestants([it for it in strategies.strategies().values() if it.is_exact], here),
            absent=tuple(Absent(name, reason) for name, reason in absent),
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


def record(name: str, of_trees: Document, of_builds: BuildDocument, directory: str) -> Iterator[str]:
    """Writes all that there is to keep, each file whole; their names as they are there."""
    written = {
        f"{name}-trees.json": msgspec.json.format(msgspec.json.encode(of_trees), indent=1) + b"\n",
        f"{name}-builds.json": msgspec.json.format(msgspec.json.encode(of_builds), indent=1) + b"\n",
        f"{name}.html": page([of_trees], [], [of_builds]),
        **write_figures(name, finding_out(of_trees)),
    }
    for file_name, content in written.items():
        with whole_file(os.path.join(directory, file_name)) as file:
            file.write(content)
        yield file_name


def main(argv: list[str]) -> None:
    """Prints what comes out; records it only if everything was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument("--corpus", action="append", help=f"repeatable (default: {', '.join(CORPORA)})")
    parser.add_argument("--minutes", type=float, default=11, help="for all of it, about (default: 11)")
    parser.add_argument("--builds", type=int, default=5, help="of each builder (default: 5)")
    parser.add_argument("--files", type=int, default=10_000, help="of the base that is built on (default: 10000)")
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where trees and stores are put")
    parser.add_argument("--record", metavar="NAME", help="write results/NAME*, and show the figure in README.md")
    parser.add_argument("--into", default=RESULTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if os.geteuid() != 0:
        sys.exit("benchmarks: the builders under measurement need root")
    of_builds = builds(arguments.files, arguments.directory, arguments.builds)
    print("\n".join(build_lines(of_builds)), flush=True)
    of_trees = trees(arguments.corpus or CORPORA, arguments.directory, arguments.minutes * 60 * _SHARE_OF_TREES)
    print("\n".join(lines(of_trees)))
    if arguments.record:
        for written in record(arguments.record, of_trees, of_builds, arguments.into):
            print(f"wrote {os.path.join(arguments.into, written)}")
        if arguments.into == RESULTS:
            show(README, arguments.record, of_trees)
