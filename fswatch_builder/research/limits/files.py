"""Reports on disk: JSON, which holds everything, and CSV, which holds the rows."""

import csv
import io
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from fswatch_builder.research.limits.run import Report


def as_json(report: Report) -> bytes:
    """One document, for people too: a row on each line."""
    rows = b",\n  ".join(map(msgspec.json.encode, report.rows))
    whole = msgspec.json.format(msgspec.json.encode(replace(report, rows=())), indent=1)
    return whole.replace(b'\n "rows": []', b'\n "rows": [\n  ' + rows + b"\n ]", 1) + b"\n"


def as_csv(report: Report) -> bytes:
    """A line of names, then the rows. A value that is not there is empty; truths are ``true`` and ``false``."""
    text = io.StringIO()
    names = [column.name for column in report.columns]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in report.rows:
        writer.writerow([_cell(row[name]) for name in names])
    return text.getvalue().encode()


def merged(reports: Sequence[Report]) -> dict[str, list[Report]]:
    """By experiment, in the order they came up: what several machines or kernels say of the same."""
    found: dict[str, list[Report]] = {}
    for report in reports:
        found.setdefault(report.settings.experiment, []).append(report)
    return found


def _cell(value: object) -> object:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case _:
            return value
