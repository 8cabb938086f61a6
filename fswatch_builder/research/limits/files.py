"""Reports on disk: JSON, which holds everything, and CSV, which holds the rows."""

import csv
import io
import os
from collections.abc import Sequence

import msgspec

from fswatch_builder.errors import UsageError
from fswatch_builder.research.limits.run import SCHEMA, Report


def as_json(report: Report) -> bytes:
    """One document."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def as_csv(report: Report) -> bytes:
    """A line of names, then the rows. A value that is not there is empty; truths are ``true`` and ``false``."""
    text = io.StringIO()
    names = [column.name for column in report.columns]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in report.rows:
        writer.writerow([_cell(row[name]) for name in names])
    return text.getvalue().encode()


def read(path: str) -> list[Report]:
    """The report in a file, or all those in a directory. UsageError if there is none."""
    paths = [path]
    try:
        if os.path.isdir(path):
            paths = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".json"))
        reports = [_read(one) for one in paths]
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    if not reports:
        raise UsageError(f"{path} holds no report", hint="give what `limits --out` wrote, a directory or a .json file")
    return reports


def _read(path: str) -> Report:
    with open(path, "rb") as file:
        content = file.read()
    try:
        report = msgspec.json.decode(content, type=Report)
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is no report of `limits`: {error}") from error
    if report.settings.schema != SCHEMA:
        raise UsageError(f"{path} is of version {report.settings.schema}, and {SCHEMA} is what this program reads")
    return report


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
