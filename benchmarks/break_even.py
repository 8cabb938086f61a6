"""``python -m benchmarks break-even RESULTS``: the model that ``auto`` goes by, from rows of `limits break-even`."""

import argparse

import msgspec

from fswatch_builder.errors import UsageError
from fswatch_builder.research.limits.model import costs
from fswatch_builder.research.limits.run import Report
from fswatch_builder.research.results import read
from fswatch_builder.tracking.break_even import FILE, Costs


def main(arguments: list[str]) -> None:
    """Writes it into the package."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks break-even", description=__doc__)
    parser.add_argument("results", help="break-even.json, as `fswatch-builder limits break-even --out` wrote it")
    parser.add_argument("--output", default=FILE, help=f"default: {FILE}")
    given = parser.parse_args(arguments)
    try:
        (report,) = read([given.results]).reports
    except (UsageError, ValueError) as error:
        parser.error(f"{given.results} holds no single report: {error}")
    found = fitted(report)
    with open(given.output, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    for name, watching in found.watching.items():
        print(f"{name}: {watching}")
    print(f"scan: {found.scan}")


def fitted(report: Report) -> Costs:
    """Of one run."""
    return costs(report.rows, report.settings.machine, report.taken)
