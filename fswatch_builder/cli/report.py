"""``fswatch-builder report``."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from fswatch_builder.cli.failure import reported
from fswatch_builder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fswatch_builder.research.bench.document import Document
    from fswatch_builder.research.builds.document import BuildDocument
    from fswatch_builder.research.limits.run import Report

Paths = Annotated[list[str], typer.Argument(metavar="RESULTS...", help="What bench --json and limits --out wrote.")]
Output = Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="The page, - for standard output.")]


@reported
def report_command(paths: Paths, output: Output = "report.html") -> None:
    """Make one page of results: plots, tables, method and machine, of one machine or several side by side.

    The page needs no network. Needs the package's extra: pip install 'fswatch-builder[report]'.

    \b
    Examples:
      fswatch-builder report results.json limits/ -o report.html
      fswatch-builder report debian-6.1/ debian-6.12/ -o kernels.html
    """  # noqa: D301 - the escape keeps the lines as they are
    from fswatch_builder.research.results import read

    check_page(output)
    found = read(paths)
    write_page(output, found.benches, found.reports, found.builds)


def check_page(output: str) -> None:
    """What would keep a page from being written, told before anything is measured. BuildError."""
    from fswatch_builder.oci.whole import check_writable
    from fswatch_builder.research.report.page import engine

    if output == "-" and sys.stdout.isatty():
        raise UsageError("a page is not written to a terminal", hint="redirect it, or use -o FILE")
    check_writable(output)
    engine()


def write_page(
    output: str, benches: "Sequence[Document]", reports: "Sequence[Report]", builds: "Sequence[BuildDocument]" = ()
) -> None:
    """Whole or not at all. BuildError."""
    from fswatch_builder.oci.whole import whole_file
    from fswatch_builder.research.report.page import page

    content = page(benches, reports, builds)
    with whole_file(output) as file:
        file.write(content)
