"""The results as one JSON document: rows to work with, and what they say."""

from collections.abc import Sequence

from msgspec import Struct

from fswatch_builder.research.bench.rows import Plan, Row, Tree
from fswatch_builder.research.bench.summary import Contest, contests
from fswatch_builder.research.bench.verdict import Verdict, of_builders, verdict

SCHEMA = 2


class Judged(Struct, frozen=True):
    """A contest and the sentence that comes of it; one more of builders, if any took part."""

    contest: Contest
    verdict: Verdict | None
    sentence: str | None
    of_builders: str | None = None


class Document(Struct, frozen=True):
    """``command`` is the line that does it again; ``noise`` the share of the processors that others kept busy.

    What each field means is told at the types that they are of; times are seconds and sizes bytes everywhere.
    """

    schema: int
    taken: str
    command: str
    plan: Plan
    trees: tuple[Tree, ...]
    noise: float
    results: tuple[Judged, ...]
    rows: tuple[Row, ...]


def document(plan: Plan, rows: Sequence[Row], *, taken: str, command: str) -> Document:
    """Everything that is to be told of a run."""
    judged = []
    for contest in contests(rows):
        found = verdict(contest)
        judged.append(Judged(contest, found, None if found is None else str(found), of_builders(contest)))
    # What a daemon does for a build that is measured is done by others, too.
    loads = [row.load for row in rows if row.trial is not None]
    return Document(
        schema=SCHEMA,
        taken=taken,
        command=command,
        plan=plan,
        trees=tuple(dict.fromkeys(row.tree for row in rows)),
        noise=sum(loads) / len(loads) if loads else 0.0,
        results=tuple(judged),
        rows=tuple(rows),
    )
