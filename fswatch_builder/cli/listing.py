"""Rows as docker lists them: a table, a JSON object a line, or by a template."""

from collections.abc import Iterator, Mapping, Sequence

from fswatch_builder.cli.printable import json_text, printable_name
from fswatch_builder.cli.template import Field, Template

Row = Mapping[str, str]


def form_of(given: str | None, as_json: bool, quiet: bool) -> str:
    """What ``--format``, ``--json`` and ``--quiet`` ask for together. As with docker, a template is more than quiet."""
    if as_json:
        return "json"
    return "{{.ID}}" if quiet and given in (None, "table") else given or "table"


def lines(rows: Sequence[Row], headings: Mapping[str, str], columns: Sequence[str], form: str) -> Iterator[str]:
    """``form`` is ``table``, ``json``, a template, or ``table`` and a template whose columns are cut by tabs.

    ``headings`` are those of all fields; ``columns`` the fields of a plain table. Raises UsageError.
    """
    if form == "json":
        yield from (json_text(row) for row in rows)
    elif form == "table":
        yield from _aligned([[headings[name] for name in columns], *([row[name] for name in columns] for row in rows)])
    elif form.startswith("table "):
        template = Template.parse(form.removeprefix("table "))
        heading = "".join(_heading(piece, headings) for piece in template.pieces)
        yield from _aligned([line.split("\t") for line in (heading, *(template.render(row) for row in rows))])
    else:
        template = Template.parse(form)
        template.render(headings)  # what no row would have is wrong without rows too
        yield from (template.render(row) for row in rows)


def _heading(piece: str | Field, headings: Mapping[str, str]) -> str:
    return piece if isinstance(piece, str) else Template((Field(piece.path, as_json=False),)).render(headings)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    cells = [[printable_name(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells if column < len(row)) for column in range(max(map(len, cells)))]
    for row in cells:
        yield "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
