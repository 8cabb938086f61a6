"""``fswatch-builder bench``."""

import os
import shlex
import sys
import tempfile
from typing import TYPE_CHECKING, Annotated

import typer

from fswatch_builder.cli.failure import reported
from fswatch_builder.errors import CommandError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fswatch_builder.research.bench.campaign import Campaign
    from fswatch_builder.research.bench.document import Document

_QUICK_S = 100.0
"""Leaves room, of the two minutes that are promised, for making trees and taking them away."""
_QUICK_CORPORA = ("wide-10k",)
_QUICK_WORKLOADS = ("nothing", "one-file", "one-percent", "disguised", "untar", "storm-writes")

Command = Annotated[
    list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="With --tree: what to run in the copy.")
]
TreeOption = Annotated[
    str | None,
    typer.Option("--tree", metavar="DIR", help="Measure on a copy of this tree instead of made ones."),
]
CorpusOption = Annotated[
    list[str] | None,
    typer.Option("--corpus", metavar="NAME", help="A made tree and its number of files, such as wide-10k. Repeatable."),
]
WorkloadOption = Annotated[
    list[str] | None, typer.Option("--workload", metavar="NAME", help="What is run on made trees. Repeatable.")
]
StrategyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy", "--strategies", metavar="NAME[,NAME...]", help="How changes are found. Repeatable. [default: all]"
    ),
]
Repeat = Annotated[int, typer.Option("--repeat", metavar="N", min=1, help="Trials of each.")]
Quick = Annotated[bool, typer.Option("--quick", help="End within two minutes, with as many trials as fit.")]
CacheOption = Annotated[
    str,
    typer.Option("--cache", metavar="STATE", help="warm, or cold: drop the host's caches before each trial (root)."),
]
DirectoryOption = Annotated[
    str | None, typer.Option("--directory", metavar="DIR", help="Where trees are made. [default: $TMPDIR or /tmp]")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of the order that trials are drawn in.")]
JsonFile = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write all rows and what they say. Interrupted, the same command goes on with the rows in FILE.part.",
    ),
]
HtmlFile = Annotated[str | None, typer.Option("--html", metavar="FILE", help="Write a page with plots and tables.")]
List = Annotated[bool, typer.Option("--list", help="List corpora, workloads and strategies, and end.")]


@reported
def bench_command(
    command: Command = None,
    tree: TreeOption = None,
    corpus: CorpusOption = None,
    workload: WorkloadOption = None,
    strategy: StrategyOption = None,
    repeat: Repeat = 10,
    quick: Quick = False,
    cache: CacheOption = "warm",
    directory: DirectoryOption = None,
    seed: Seed = 1,
    json_file: JsonFile = None,
    html: HtmlFile = None,
    list_all: List = False,
) -> None:
    """Measure whether watching pays: on your own tree and command, or on made ones.

    The same command runs again and again on a copy of the tree, once with nobody watching and once under each way to
    find out what it changed, in an order drawn anew each time. What each missed is judged by an independent look at
    everything. The copy is put back after each run; your own tree is only read.

    \b
    Examples:
      fswatch-builder bench --quick
      fswatch-builder bench --tree /usr/local -- make -C src/hello install
      fswatch-builder bench --corpus wide-100k --workload one-file --strategy fanotify,scan,scan-hash
      fswatch-builder bench --json results.json
    """  # noqa: D301 - the escape keeps the lines as they are
    if list_all:
        from fswatch_builder.cli.bench_text import listing

        print(listing())
        return
    argv = _own_command(command or (), tree)
    campaign = _campaign(argv, tree, corpus, workload, strategy, repeat, quick, cache, directory, seed)

    from fswatch_builder.cli.bench_text import lines
    from fswatch_builder.cli.report import check_page, write_page

    if html is not None:
        check_page(html)
    found = _measured(campaign, json_file)
    for line in lines(found):
        print(line)
    if html is not None:
        write_page(html, [found], [])


def _own_command(words: "Sequence[str]", tree: str | None) -> list[str]:
    import shutil

    argv = list(words[1:] if words and words[0] == "--" else words)
    if tree is None:
        if argv:
            raise UsageError("a command is measured on a tree", hint="fswatch-builder bench --tree DIR -- COMMAND...")
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
) -> "Campaign":
    from fswatch_builder.research import machine, strategies
    from fswatch_builder.research.bench import caches, own_tree, room
    from fswatch_builder.research.bench.campaign import Campaign, check_directory
    from fswatch_builder.research.bench.engine import Source
    from fswatch_builder.research.bench.rows import Plan
    from fswatch_builder.research.corpora import registry as corpora_registry
    from fswatch_builder.research.workloads import registry as workload_registry

    place = directory or tempfile.gettempdir()
    check_directory(place)
    if cache not in ("warm", "cold"):
        raise UsageError(f"--cache {cache}: there are warm and cold")
    if cache == "cold":
        caches.check_cold()
    asked = [name for one in names or () for name in one.split(",")]
    chosen = strategies.chosen(asked or strategies.strategies())
    sources: list[Source]
    if tree is not None:
        if corpora or workloads:
            raise UsageError("--tree is measured with its own command", hint="leave --corpus and --workload out")
        own = own_tree.own_tree(tree)
        room.check_disk(place, room.bytes_below(own.directory), tree)
        sources, work = [own], [own_tree.own_command(argv)]
    else:
        made = [
            corpora_registry.corpus(name)
            for name in corpora or (_QUICK_CORPORA if quick else corpora_registry.DEFAULTS)
        ]
        room.check_disk(place, max(room.bytes_of(one) for one in made), max(made, key=room.bytes_of).name)
        named = workloads or (_QUICK_WORKLOADS if quick else workload_registry.workloads())
        sources, work = [*made], workload_registry.usable(named, by_name=workloads is not None)
    plan = Plan(
        corpora=tuple(source.name for source in sources),
        workloads=tuple(workload.name for workload in work),
        strategies=(strategies.UNWATCHED, *(strategy.name for strategy in chosen)),
        repeat=repeat,
        seed=seed,
        cache=cache,
        machine=machine.describe(place),
    )
    return Campaign(plan, sources, work, place, named=bool(asked), seconds=_QUICK_S if quick else None)


def _measured(campaign: "Campaign", json_file: str | None) -> "Document":
    from contextlib import ExitStack
    from datetime import UTC, datetime

    import msgspec

    from fswatch_builder.cli.bench_text import Progress
    from fswatch_builder.oci.whole import check_writable, whole_file
    from fswatch_builder.research.bench.document import document
    from fswatch_builder.research.bench.rows import Row
    from fswatch_builder.research.journal import Journal

    if json_file is not None:
        check_writable(json_file)
    with ExitStack() as stack:
        kept = None
        if json_file is not None and json_file != "-":
            kept = stack.enter_context(Journal(f"{json_file}.part", campaign.plan, Row))
        rows = [] if kept is None else list(kept.rows)
        progress = stack.enter_context(Progress(campaign.plan, len(rows)))
        try:
            for row in campaign.run(progress, rows[:]):
                rows.append(row)
                if kept is not None:
                    kept.add(row)
        except KeyboardInterrupt:
            if kept is not None:
                print(f"{len(rows):,} trials are kept in {kept.path}: the same command goes on there", file=sys.stderr)
            raise
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    found = document(campaign.plan, rows, taken=taken, command=shlex.join(["fswatch-builder", *sys.argv[1:]]))
    if json_file is not None:
        with whole_file(json_file) as file:
            file.write(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        if kept is not None:
            os.unlink(kept.path)
    return found
