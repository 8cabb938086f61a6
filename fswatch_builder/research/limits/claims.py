"""What is said elsewhere, and whether it is so here."""

from collections.abc import Sequence
from statistics import median
from typing import Literal

from msgspec import Struct

from fswatch_builder.research.limits.experiment import Claim, Row, Scalar


class Finding(Struct, frozen=True):
    """A claim and what came of it: ``figure`` is None where the rows do not tell."""

    says: str
    source: str
    low: float
    high: float
    unit: str
    figure: float | None
    outcome: Literal["reproduced", "refuted", "not measured"]

    def __str__(self) -> str:
        """One sentence."""
        unit = f" {self.unit}" if self.unit else ""
        counts = f"{self.low:g} to {self.high:g}{unit} counts as the same"
        if self.figure is None:
            return f"not measured: {self.says} ({self.source})"
        return f"{self.outcome}, {self.figure:.3g}{unit} here: {self.says} ({self.source}; {counts})"


def findings(claims: Sequence[Claim], rows: Sequence[Row]) -> tuple[Finding, ...]:
    """Of each claim."""
    return tuple(_finding(claim, claim.figure(rows)) for claim in claims)


def middle(rows: Sequence[Row], column: str, **where: Scalar) -> float | None:
    """The median of a column in the rows that agree with ``where``; None if there are none."""
    values = [
        float(value)
        for row in rows
        if all(row[name] == wanted for name, wanted in where.items()) and (value := row[column]) is not None
    ]
    return median(values) if values else None


def _finding(claim: Claim, figure: float | None) -> Finding:
    def outcome() -> Literal["reproduced", "refuted", "not measured"]:
        if figure is None:
            return "not measured"
        return "reproduced" if claim.low <= figure <= claim.high else "refuted"

    return Finding(claim.says, claim.source, claim.low, claim.high, claim.unit, figure, outcome())
