"""``fswatch-builder limits``."""

import os
import shlex
import sys
import tempfile
from typing import TYPE_CHECKING, Annotated

import typer

from fswatch_builder.cli.failure import reported
from fswatch_builder.errors import UsageError

if TYPE_CHECKING:
    from fswatch_builder.research.limits.experiment import Experiment
    from fswatch_builder.research.limits.run import Report, Settings

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[EXPERIMENT...]", help="What to find out. [default: all that work here]")
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Write EXPERIMENT.json and EXPERIMENT.csv there; an interrupted run goes on from EXPERIMENT.part.",
    ),
]
List = Annotated[bool, typer.Option("--list", help="List experiments, what they ask and who may do them, and end.")]
Full = Annotated[bool, typer.Option("--full", help="Go to the limits: minutes become an hour.")]
Repeat = Annotated[
    int | None, typer.Option("--repeat", metavar="N", min=1, help="Measure each point N times. [default: 1 to 5]")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of whatever is drawn at random.")]
DirectoryOption = Annotated[
    str | None,
    typer.Option("--directory", metavar="DIR", help="On which file system. [default: $TMPDIR or /tmp]"),
]
ChangeHost = Annotated[
    bool,
    typer.Option(
        "--change-host",
        help="Do experiments too that set limits of this machine, for all who use it, and put them back. For a virtual "
        "machine of your own.",
    ),
]
HtmlFile = Annotated[str | None, typer.Option("--html", metavar="FILE", help="Write a page with plots and tables.")]


@reported
def limits_command(
    names: Names = None,
    out: Out = None,
    list_all: List = False,
    full: Full = False,
    repeat: Repeat = None,
    seed: Seed = 1,
    directory: DirectoryOption = None,
    change_host: ChangeHost = False,
    html: HtmlFile = None,
) -> None:
    """Find out how far watching goes here: watches, memory, queues, losses, latency.

    Each experiment is a question, a method and a table of rows. Nothing of the host is changed without --change-host:
    watches stay within what is free, what is made is removed, and file systems to try are mounted where nobody else
    sees them.

    \b
    Examples:
      fswatch-builder limits --list
      fswatch-builder limits watches overflow --out results
      fswatch-builder limits break-even --full --directory /var/tmp
    """  # noqa: D301 - the escape keeps the lines as they are
    from fswatch_builder.cli.limits_text import lines, listing
    from fswatch_builder.cli.report import check_page, write_page
    from fswatch_builder.research import machine
    from fswatch_builder.research.bench.campaign import check_directory
    from fswatch_builder.research.limits.possible import check_room, obstacle, points
    from fswatch_builder.research.limits.registry import chosen, experiments
    from fswatch_builder.research.limits.run import settings

    if list_all:
        print(listing())
        return
    place = directory or tempfile.gettempdir()
    check_directory(place)
    here = machine.describe(place)
    wanted = []
    for experiment in chosen(names or experiments()):
        if (why := obstacle(experiment, here, may_change_host=change_host)) is None:
            wanted.append(experiment)
        elif names:
            raise UsageError(f"experiment {experiment.name} cannot be done: {why}")
        else:
            print(f"{experiment.name} is left out: {why}", file=sys.stderr)
    plans = {it.name: settings(it, points(it, here, full=full), repeat or it.repeat, seed, here) for it in wanted}
    check_room(place, [(it, plans[it.name].points) for it in wanted])
    if html is not None:
        check_page(html)
    if out is not None:
        _make(out)
    reports = []
    for experiment in wanted:
        report = _done(experiment, plans[experiment.name], place, out)
        for line in lines(report):
            print(line)
        reports.append(report)
    if html is not None:
        write_page(html, [], reports)


def _make(out: str) -> None:
    from fswatch_builder.oci.blobs import write_errors

    with write_errors(out):
        os.makedirs(out, exist_ok=True)


def _done(experiment: "Experiment", plan: "Settings", place: str, out: str | None) -> "Report":
    from contextlib import ExitStack
    from datetime import UTC, datetime

    from fswatch_builder.cli.limits_text import Progress
    from fswatch_builder.oci.whole import whole_file
    from fswatch_builder.research.journal import Journal
    from fswatch_builder.research.limits.files import as_csv, as_json
    from fswatch_builder.research.limits.run import Measured, measured, report

    path = None if out is None else os.path.join(out, experiment.name)
    with ExitStack() as stack:
        kept = None if path is None else stack.enter_context(Journal(f"{path}.part", plan, Measured))
        done = [] if kept is None else list(kept.rows)
        progress = stack.enter_context(Progress(experiment.name, len(plan.points) * plan.repeat))
        for one in measured(experiment, plan, place, done[:]):
            done.append(one)
            if kept is not None:
                kept.add(one)
            progress.at(len(done))
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    found = report(experiment, plan, done, taken=taken, command=shlex.join(["fswatch-builder", *sys.argv[1:]]))
    if path is not None:
        for suffix, content in (("csv", as_csv(found)), ("json", as_json(found))):
            with whole_file(f"{path}.{suffix}") as file:
                file.write(content)
        os.unlink(f"{path}.part")
    return found
