"""The results as one JSON document: rows to work with, and what they say."""

from collections.abc import Sequence

from msgspec import Struct

from fswatch_builder.research.builds.campaign import REFERENCE, Difference
from fswatch_builder.research.builds.rows import BuildPlan, BuildRow
from fswatch_builder.research.builds.summary import PEER, BuildContest, build_contest
from fswatch_builder.research.builds.verdict import BuildVerdict, build_verdict, sentence

SCHEMA = 2


class BuildDocument(Struct, frozen=True):
    """``command`` is the line that does it again; ``noise`` the share of the processors that others kept busy.

    ``differences`` lead from each peer's image to ours. What each field means is told at the types that they are of;
    times are seconds and sizes bytes everywhere.
    """

    schema: int
    taken: str
    command: str
    plan: BuildPlan
    noise: float
    contest: BuildContest
    verdict: BuildVerdict | None
    sentence: str
    differences: tuple[Difference, ...]
    rows: tuple[BuildRow, ...]


def build_document(
    plan: BuildPlan, rows: Sequence[BuildRow], differences: Sequence[Difference], *, taken: str, command: str
) -> BuildDocument:
    """Everything that is to be told of a run."""
    contest = build_contest(plan, rows, REFERENCE)
    verdict = build_verdict(contest, rows)
    # What a daemon does for a build that is measured is done by others, too.
    ours = {it.name for it in plan.contestants if it.kind != PEER}
    loads = [row.load for row in rows if row.build is not None and row.builder in ours]
    return BuildDocument(
        schema=SCHEMA,
        taken=taken,
        command=command,
        plan=plan,
        noise=sum(loads) / len(loads) if loads else 0.0,
        contest=contest,
        verdict=verdict,
        sentence=sentence(contest, verdict),
        differences=tuple(differences),
        rows=tuple(rows),
    )
