"""What ``bench CONTEXT`` prints: how it gets on, and what came out."""

from collections.abc import Iterator

from fswatch_builder.cli.bench_text import Shown, aligned, machine_line, minutes, time_text
from fswatch_builder.cli.printable import printable_name
from fswatch_builder.research.builds.document import BuildDocument
from fswatch_builder.research.builds.summary import BuildContest, BuildSummary

_COLUMNS = (
    "builder",
    "whole build",
    "a RUN takes",
    "its command",
    "finds out in",
    "packs in",
    "once a build",
    "processor",
    "memory",
    "image",
)
_SHOWN = 10


class BuildProgress(Shown):
    """On standard error: a line that changes on a terminal, else a line now and then."""

    def __init__(self, done: int, of: int) -> None:
        """``done`` rows are there already."""
        super().__init__()
        if done:
            self.say(f"{done:,} of {of:,} builds are there already")

    def begins(self, what: str) -> None:
        """Something that may take a while."""
        self.say(printable_name(what))

    def estimates(self, builds: int, each_s: float) -> None:
        """By what the first build took; later ones have the base here already."""
        self.say(f"{builds:,} builds to do, of up to {each_s:.1f} s each: at most about {minutes(builds * each_s)}")

    def left_out(self, name: str, reason: str) -> None:
        """A builder takes no part after all."""
        self.say(f"{name} is left out: {printable_name(reason)}")

    def is_at(self, done: int, of: int, seconds_left: float | None) -> None:
        """So many builds are done."""
        left = "" if seconds_left is None else f", about {minutes(seconds_left)} left"
        self.show(f"{done:,} of {of:,} builds{left}", worth_a_line=seconds_left is not None)

    def has_no_time(self, repetitions: int) -> None:
        """Time is up."""
        self.say(f"the time is up {f'after {repetitions} of each' if repetitions else 'before each had its turn'}")


def build_lines(document: BuildDocument) -> Iterator[str]:
    """The table, what is to be said of images and of who is missing, and the sentence."""
    contest, plan = document.contest, document.plan
    yield from machine_line(plan.machine, document.noise, "warm cache")
    yield ""
    builds = max((it.builds for it in contest.summaries), default=0)
    each = "one build of each, so nothing is known of chance" if builds == 1 else f"{builds:,} builds of each"
    yield f"{printable_name(plan.context)}: {each}"
    yield from (f"  {line}" for line in aligned([_COLUMNS, *map(_cells, contest.summaries)]))
    yield from (f"  {line}" for line in _remarks(document, contest))
    yield f"  {document.sentence}"


def _cells(summary: BuildSummary) -> tuple[str, ...]:
    return (
        summary.label,
        time_text(summary.whole),
        time_text(summary.run),
        time_text(summary.command),
        time_text(summary.find),
        time_text(summary.pack),
        time_text(summary.once),
        time_text(summary.cpu),
        "" if summary.peak_rss is None else f"{summary.peak_rss / (1 << 20):.0f} MiB",
        "" if summary.differs is None else "same" if summary.differs == 0 else f"{summary.differs:,} differ",
    )


def _remarks(document: BuildDocument, contest: BuildContest) -> Iterator[str]:
    for failure in contest.failures:
        yield f"{failure.builder}: {printable_name(' '.join(failure.problem.split()))}"
    for absent in document.plan.absent:
        yield f"{absent.name} is absent: {absent.reason}"
    for summary in contest.summaries:
        if summary.losses:
            yield f"{summary.contestant.name} looked at whole parts of the tree: {', '.join(summary.losses)}"
        if summary.differs:
            yield f"{summary.contestant.name}: its images differ from those of a scan that reads everything, in"
            yield from (f"  {printable_name(it)}" for it in summary.examples)
    if contest.varying:
        yield f"from build to build, whoever finds changes, commands make something else of {_some(contest.varying)}"
    for one in document.differences:
        if one.problem is not None:
            yield f"{one.builder}: its image was not compared: {printable_name(' '.join(one.problem.split()))}"
        elif not one.paths:
            yield f"{one.builder}: its image has the same files as ours, times aside"
        else:
            yield f"{one.builder}: from its image to ours, times aside, {len(one.paths):,} paths differ:"
            yield from (f"  {printable_name(it)}" for it in one.paths[:_SHOWN])
            if len(one.paths) > _SHOWN:
                yield f"  and {len(one.paths) - _SHOWN:,} more (--json has all)"


def _some(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
    return ", ".join(printable_name(path) for path in paths[:_SHOWN]) + more
