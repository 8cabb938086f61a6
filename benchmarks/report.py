"""The rows as a table for the README."""

from collections.abc import Sequence

from benchmarks.row import Row

_REACHED = {True: "yes", False: "**no**", None: ""}


def markdown(rows: Sequence[Row]) -> str:
    """One line a row."""
    lines = [
        "| what | tracker | files | figure | of what | ratio | goal | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        files = f"{row.files:,}" if row.files else ""
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        goal = "" if row.most is None else f"≤ {row.most:g}"
        figure = f"{row.value:.3g} {row.unit}"
        cells = [row.what, row.subject, files, figure, row.peer, ratio, goal, _REACHED[row.reached]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
