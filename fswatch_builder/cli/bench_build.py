"""``fswatch-builder bench CONTEXT``: a user's own Dockerfile."""

import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from fswatch_builder.build.contexts import find_dockerfile
from fswatch_builder.build.request import Request
from fswatch_builder.cli import values
from fswatch_builder.cli.bench_build_text import BuildProgress, build_lines
from fswatch_builder.cli.bench_rows import KeptRows
from fswatch_builder.cli.report import check_page, write_page
from fswatch_builder.errors import UsageError
from fswatch_builder.oci.whole import check_writable
from fswatch_builder.research import machine, strategies
from fswatch_builder.research.bench.campaign import check_directory
from fswatch_builder.research.bench.room import check_room
from fswatch_builder.research.builds.bases import Script, read
from fswatch_builder.research.builds.campaign import BuildCampaign
from fswatch_builder.research.builds.contestants import contestants, digest, ways
from fswatch_builder.research.builds.document import BuildDocument, build_document
from fswatch_builder.research.builds.project import Project
from fswatch_builder.research.builds.rows import BuildPlan, BuildRow
from fswatch_builder.research.peers.peer import Absent, Peer
from fswatch_builder.research.peers.registry import chosen
from fswatch_builder.research.strategies import Strategy


class Asked(Struct, frozen=True):
    """What the command line says. ``quick_s``: the time there is; None: for as long as it takes."""

    context: str
    file: str | None
    target: str | None
    build_args: tuple[str, ...]
    contexts: tuple[str, ...]
    peers: str
    strategies: tuple[str, ...]
    repeat: int
    quick_s: float | None
    directory: str
    seed: int
    json_file: str | None
    html: str | None
    users_store: str | None


def bench_build(asked: Asked) -> None:
    """Measures it and prints what came out. BuildError; whatever can be told before anything is built is."""
    script = _script(asked)
    check_directory(asked.directory)
    check_room(asked.directory, 0)
    if asked.json_file is not None:
        check_writable(asked.json_file)
    if asked.html is not None:
        check_page(asked.html)
    if asked.quick_s is not None and asked.peers != "none":
        raise UsageError("--quick leaves no time for --peers", hint="give one of them")
    peers, missing = chosen(asked.peers)
    plan = _plan(asked, script, peers, missing)
    # Names as they are typed: builds run in this directory too.
    project = Project(asked.context, asked.file, asked.target, asked.build_args, asked.contexts)
    campaign = BuildCampaign(plan, project, script, peers, asked.directory, _users_store(asked), asked.quick_s)
    found = _measured(campaign, asked.json_file)
    for line in build_lines(found):
        print(line)
    if asked.html is not None:
        write_page(asked.html, [], [], [found])


def _users_store(asked: Asked) -> str:
    """Where `build` would look: the environment counts, as for it."""
    return values.store_directory(asked.users_store or os.environ.get("FSWATCH_BUILDER_STORE"))


def _script(asked: Asked) -> Script:
    dockerfile = find_dockerfile(os.path.abspath(asked.context), asked.file, asked.context)
    return read(
        Request(
            context=os.path.abspath(asked.context),
            dockerfile=dockerfile,
            target=asked.target,
            build_args=values.build_args(asked.build_args, os.environ),
            contexts=values.build_contexts(asked.contexts),
        )
    )


def _plan(asked: Asked, script: Script, peers: Sequence[Peer], missing: Sequence[Absent]) -> BuildPlan:
    return BuildPlan(
        context=asked.context,
        dockerfile=digest(script),
        contestants=contestants(_strategies(asked), peers),
        absent=tuple(missing),
        repeat=asked.repeat,
        seed=asked.seed,
        machine=machine.describe(asked.directory),
    )


def _strategies(asked: Asked) -> list[Strategy]:
    known = strategies.strategies()
    for name in asked.strategies:
        if name in known and not known[name].is_exact:
            raise UsageError(
                f"--strategy {name}: a build compares everything; what compares less is measured on trees",
                hint="fswatch-builder bench --tree DIR -- COMMAND...",
            )
    return strategies.chosen(asked.strategies or list(ways()), ways())


def _measured(campaign: BuildCampaign, json_file: str | None) -> BuildDocument:
    plan = campaign.plan
    with (
        KeptRows(json_file, plan, BuildRow, called="builds") as kept,
        BuildProgress(len(kept.rows), plan.builds) as progress,
    ):
        for row in campaign.run(progress, kept.rows[:]):
            kept.add(row)
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    command = shlex.join(["fswatch-builder", *sys.argv[1:]])
    found = build_document(plan, kept.rows, campaign.differences, taken=taken, command=command)
    kept.write(found)
    return found
