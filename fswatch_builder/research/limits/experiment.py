"""What an experiment is: a question, how it is answered, and a table whose columns are told.

A point is one setting of what is varied. Every point is measured several times, in an order drawn anew each time, so
that what else the machine does hits all of them alike. A row holds its point too: it says everything by itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from fswatch_builder.research.machine import Machine

Scalar = int | float | str | bool | None
Point = Mapping[str, Scalar]
Row = dict[str, Scalar]


class Column(Struct, frozen=True):
    """One column: what it is called in the files, its unit (empty for a name or a count), and what it means.

    ``middle`` says how several measurements of one point become one figure. The mean is for what is 0 or 1: how often.
    There is none of a number that is varied beside the point, as a name is.
    """

    name: str
    unit: str
    meaning: str
    middle: Literal["median", "mean", "none"] = "median"


class Figure(Struct, frozen=True):
    """How the rows are best looked at: ``y`` over ``x``, a line for each value of ``by``.

    ``kind``: a line through medians, a bar for each name, or a table of marks (x and by are names, y a truth). With
    ``below`` there is one for each of its values. ``only`` is a column and the value that rows must have to be shown.
    """

    title: str
    kind: Literal["line", "bar", "marks"]
    x: str
    y: str
    by: str
    log_x: bool = False
    log_y: bool = False
    below: str = ""
    only: tuple[str, Scalar] | None = None


class Claim(Struct, frozen=True):
    """A figure that is said elsewhere, held against what is measured here.

    ``figure`` takes it from the rows; None where they do not tell. Between ``low`` and ``high`` it is reproduced.
    """

    says: str
    source: str
    low: float
    high: float
    unit: str
    figure: Callable[[Sequence[Row]], float | None]

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"nothing lies between {self.low} and {self.high}")


class Laboratory(Struct, frozen=True):
    """Where an experiment is done: ``directory`` is empty at every point and emptied after it."""

    directory: str
    machine: Machine
    seed: int


def next_to_nothing(point: Point) -> int:
    """A few files."""
    del point
    return 0


class Experiment(Struct, frozen=True):
    """``name`` is unique; ``asks`` is the question, ``method`` how it is answered, both for people.

    ``columns`` are exactly those of every row that ``measure`` gives, the point's first. ``points`` are for a run of
    minutes, ``more`` are added where time does not matter. ``needs_root`` tells why it cannot be done without, and
    ``changes_host`` what it sets of the machine itself; both are empty for most. ``programs`` have to be on PATH.
    ``takes`` is about how many bytes of disk a point needs.
    """

    name: str
    asks: str
    method: str
    columns: tuple[Column, ...]
    figures: tuple[Figure, ...]
    points: Callable[[Machine], Sequence[Point]]
    more: Callable[[Machine], Sequence[Point]]
    measure: Callable[[Laboratory, Point], Iterator[Row]]
    repeat: int = 5
    needs_root: str = ""
    changes_host: str = ""
    programs: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    takes: Callable[[Point], int] = next_to_nothing

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name} has two columns of one name")
        for figure in self.figures:
            used = {
                figure.x,
                figure.y,
                figure.by,
                figure.below or figure.x,
                figure.only[0] if figure.only else figure.x,
            }
            if not used <= set(names):
                raise ValueError(f"a figure of {self.name} shows a column that it has not")

    def check(self, row: Row) -> Row:
        """The row, with its columns in order. ValueError if they are others."""
        names = [column.name for column in self.columns]
        if set(names) != set(row):
            raise ValueError(f"{self.name}: {sorted(set(names) ^ set(row))}")
        return {name: row[name] for name in names}


def no_more(machine: Machine) -> Sequence[Point]:
    """All there is to vary is varied already."""
    del machine
    return ()


def grid(**values: Sequence[Scalar]) -> list[Point]:
    """Every combination."""
    points: list[dict[str, Scalar]] = [{}]
    for name, choices in values.items():
        points = [{**point, name: choice} for point in points for choice in choices]
    return list(points)
