"""``fswatch-builder bench``."""

import os
import shlex
import sys
import tempfile
from typing import TYPE_CHECKING

from fswatch_builder.cli import bench_options
from fswatch_builder.cli.failure import reported
from fswatch_builder.errors import CommandError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fswatch_builder.research.bench.campaign import Campaign
    from fswatch_builder.research.bench.document import Document

_QUICK_S = 100.0
"""Leaves room, of the two minutes that are promised, for making trees and taking them away."""
_TRIALS, _BUILDS = 10, 5
_QUICK_CORPORA = ("wide-10k",)
_QUICK_WORKLOADS = ("nothing", "one-file", "one-percent", "disguised", "untar", "storm-writes")


@reported
def bench_command(
    words: bench_options.Words = None,
    file: bench_options.FileOption = None,
    target: bench_options.TargetOption = None,
    build_arg: bench_options.BuildArgOption = None,
    build_context: bench_options.BuildContextOption = None,
    peers: bench_options.PeersOption = None,
    tree: bench_options.TreeOption = None,
    corpus: bench_options.CorpusOption = None,
    workload: bench_options.WorkloadOption = None,
    strategy: bench_options.StrategyOption = None,
    repeat: bench_options.Repeat = None,
    quick: bench_options.Quick = False,
    cache: bench_options.CacheOption = "warm",
    cold: bench_options.ColdOption = False,
    directory: bench_options.DirectoryOption = None,
    seed: bench_options.Seed = 1,
    json_file: bench_options.JsonFile = None,
    html: bench_options.HtmlFile = None,
    store: bench_options.StoreOption = None,
    list_all: bench_options.List = False,
) -> None:
    """Measure whether watching pays: for your own Dockerfile, on your own tree with a command, or on made ones.

    A Dockerfile is built again and again, once under each way to find out what its RUNs changed, in an order drawn anew
    each time, in a store that is gone afterwards; with --peers by other builders too. Images are compared.

    A command runs again and again on a copy of a tree, with nobody watching and under each way. What each missed is
    judged by an independent look at everything. The copy is put back after each run; your own tree is only read. With
    --peers each made tree becomes an image as well, and builders run the command there as a RUN.

    \b
    Examples:
      fswatch-builder bench --quick
      fswatch-builder bench . -f Dockerfile --peers auto
      fswatch-builder bench --tree /usr/local -- make -C src/hello install
      fswatch-builder bench --corpus wide-100k --workload one-file --strategy fanotify,scan,scan-hash
      fswatch-builder bench --corpus wide-10k --peers auto --json results.json --html results.html
    """  # noqa: D301 - the escape keeps the lines as they are
    if list_all:
        from fswatch_builder.cli.bench_text import listing

        print(listing())
        return
    of_a_build = {"--file": file, "--target": target, "--build-arg": build_arg, "--build-context": build_context}
    of_a_build |= {"--store": store}
    if tree is None and words:
        of_trees = {"--corpus": corpus, "--workload": workload, "--cold": cold, "--cache": cache != "warm"}
        _refuse(of_trees, "is not for the build of a Dockerfile")
        from fswatch_builder.cli.bench_build import Asked, bench_build

        bench_build(
            Asked(
                context=_context(words),
                file=file,
                target=target,
                build_args=tuple(build_arg or ()),
                contexts=tuple(build_context or ()),
                peers=peers or "none",
                strategies=_names(strategy),
                repeat=repeat or _BUILDS,
                quick_s=_QUICK_S if quick else None,
                directory=directory or tempfile.gettempdir(),
                seed=seed,
                json_file=json_file,
                html=html,
                users_store=store,
            )
        )
        return
    _refuse(of_a_build, "is for the build of a Dockerfile: give its context")
    argv = _own_command(words or (), tree)
    state = _state(cache, cold)
    made = "none" if peers is None else _peers(peers, tree, quick, state)
    campaign = _campaign(argv, tree, corpus, workload, strategy, repeat or _TRIALS, quick, state, directory, seed, made)

    from fswatch_builder.cli.bench_text import lines
    from fswatch_builder.cli.report import check_page, write_page

    if html is not None:
        check_page(html)
    found = _measured(campaign, json_file)
    for line in lines(found):
        print(line)
    if html is not None:
        write_page(html, [found], [])


def _peers(peers: str, tree: str | None, quick: bool, state: str) -> str:
    """What of them is asked for, if that can be."""
    if peers == "none":
        return peers
    if tree is not None:
        raise UsageError(
            "--peers is not for a tree of your own: nobody knows what its command needs in an image",
            hint="write a Dockerfile with it as a RUN, and measure that: bench CONTEXT --peers ...",
        )
    if quick:
        raise UsageError("--quick leaves no time for --peers", hint="give one of them")
    if state == "cold-files":
        raise UsageError(
            "--peers and --cache cold-files: what a builder has read of a tree is not where we know it",
            hint="--cold drops all caches, theirs too",
        )
    if os.geteuid() != 0:
        raise UsageError("--peers needs root: other builders are started in namespaces of their own")
    return peers


def _state(cache: str, cold: bool) -> str:
    """Of the caches."""
    if cache not in ("warm", "cold-files"):
        raise UsageError(f"--cache {cache}: there are warm and cold-files", hint="--cold makes everything cold")
    if cold and cache != "warm":
        raise UsageError(f"--cold and --cache {cache}: give one of them")
    return "cold" if cold else cache


def _refuse(options: "Mapping[str, object]", why: str) -> None:
    for name, value in options.items():
        if value:
            raise UsageError(f"{name} {why}", hint="fswatch-builder bench --help tells what goes together")


def _context(words: "Sequence[str]") -> str:
    if len(words) > 1:
        raise UsageError("a command is measured on a tree", hint="fswatch-builder bench --tree DIR -- COMMAND...")
    (context,) = words
    if not os.path.isdir(context):
        raise UsageError(
            f"{context} is not a directory",
            hint="bench builds the Dockerfile of a directory; a command is measured on a tree: bench --tree DIR -- "
            "COMMAND...",
        )
    return context


def _names(strategy: list[str] | None) -> tuple[str, ...]:
    return tuple(name for one in strategy or () for name in one.split(","))


def _own_command(words: "Sequence[str]", tree: str | None) -> list[str]:
    import shutil

    argv = list(words)
    if tree is None:
        return []
    if not argv:
        raise UsageError("there is no command to measure", hint="fswatch-builder bench --tree DIR -- COMMAND...")
    if shutil.which(argv[0]) is None and "/" not in argv[0]:
        raise CommandError(f"{argv[0]}: command not found", 127)
    return argv


def _campaign(
    argv: list[str],
    tree: str | None,
    corpora: list[str] | None,
    workloads: list[str] | None,
    names: list[str] | None,
    repeat: int,
    quick: bool,
    cache: str,
    directory: str | None,
    seed: int,
    peers: str,
) -> "Campaign":
    from fswatch_builder.research import machine, strategies
    from fswatch_builder.research.bench import caches, own_tree, room
    from fswatch_builder.research.bench.campaign import Campaign, check_directory
    from fswatch_builder.research.bench.engine import Source
    from fswatch_builder.research.bench.rows import Plan
    from fswatch_builder.research.builds.contestants import contestants
    from fswatch_builder.research.corpora import registry as corpora_registry
    from fswatch_builder.research.peers import registry as peer_registry
    from fswatch_builder.research.peers.ours import beside_ours
    from fswatch_builder.research.workloads import registry as workload_registry

    place = directory or tempfile.gettempdir()
    check_directory(place)
    caches.check(cache, place)
    asked = _names(names)
    known = strategies.strategies()
    chosen = strategies.chosen(asked or list(known), known)
    sources: list[Source]
    if tree is not None:
        if corpora or workloads:
            raise UsageError("--tree is measured with its own command", hint="leave --corpus and --workload out")
        own = own_tree.own_tree(tree)
        room.check_disk(place, room.bytes_below(own.directory), tree)
        sources, work = [own], [own_tree.own_command(argv)]
    else:
        made = [
            corpora_registry.chosen(name)
            for name in corpora or (_QUICK_CORPORA if quick else corpora_registry.DEFAULTS)
        ]
        for one in made:
            one.check()
        largest = max(made, key=lambda one: one.bytes_on_disk)
        room.check_disk(place, largest.bytes_on_disk, largest.name)
        named = workloads or (_QUICK_WORKLOADS if quick else workload_registry.workloads())
        sources, work = [*made], workload_registry.usable(named, by_name=workloads is not None)
    for job in work if workloads else ():
        if not any(job.fits(source.kind) for source in sources):
            raise UsageError(f"workload {job.name} works on corpus {job.only_on} alone")
    others, missing = peer_registry.chosen(peers)
    builders = beside_ours(others)
    plan = Plan(
        corpora=tuple(source.name for source in sources),
        workloads=tuple(workload.name for workload in work),
        strategies=(strategies.UNWATCHED, *(strategy.name for strategy in chosen)),
        repeat=repeat,
        seed=seed,
        cache=cache,
        machine=machine.describe(place),
        builders=contestants((), builders),
        absent=tuple(missing),
    )
    seconds = _QUICK_S if quick else None
    return Campaign(plan, sources, work, place, named=bool(asked), seconds=seconds, peers=builders)


def _measured(campaign: "Campaign", json_file: str | None) -> "Document":
    from datetime import UTC, datetime

    from fswatch_builder.cli.bench_rows import KeptRows
    from fswatch_builder.cli.bench_text import Progress
    from fswatch_builder.oci.whole import check_writable
    from fswatch_builder.research.bench.document import document
    from fswatch_builder.research.bench.rows import Row

    if json_file is not None:
        check_writable(json_file)
    with (
        KeptRows(json_file, campaign.plan, Row, called="trials") as kept,
        Progress(campaign.plan, len(kept.rows)) as progress,
    ):
        for row in campaign.run(progress, kept.rows[:]):
            kept.add(row)
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    found = document(campaign.plan, kept.rows, taken=taken, command=shlex.join(["fswatch-builder", *sys.argv[1:]]))
    kept.write(found)
    return found
