"""``python -m benchmarks costs``: the README's table of what one more RUN costs, as the recorded figures have it."""

import argparse
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.recorded.readme import put

BEGIN, END = "<!-- costs -->", "<!-- end of costs -->"
_FIGURES = "benchmarks/results/tmpfs.json"
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
_OURS = re.compile(r"fswatch-builder (?P<tracker>\w+)(?P<options>.*)")
_VERSION = re.compile(r"v?(\d+\.\d+)")

Document = Mapping[str, Any]


def table(document: Document) -> str:
    """Rows of this builder first, each group from the cheapest at the largest tree."""
    sizes = sorted({row["files"] for row in document["extra_run"]})
    found = {(row["peer"], row["files"]): row for row in document["extra_run"]}
    names = {name for name, _ in found}
    whole = [name for name in names if all((name, size) in found for size in sizes)]
    ordered = sorted(whole, key=lambda name: (not _OURS.match(name), found[name, sizes[-1]]["step_ms"]))
    header = ["", *(f"{size:,} files" for size in sizes), f"peak memory at {sizes[-1]:,}"]
    lines = [_line(header), "|" + "---|" * len(header)]
    for name in ordered:
        memory = "in the daemon" if name.startswith("BuildKit") else f"{found[name, sizes[-1]]['peak_mib']:.0f} MiB"
        times = [f"{found[name, size]['step_ms']:,.0f} ms" for size in sizes]
        lines.append(_line([_label(name, document["peers"]), *times, memory]))
    machine = document["machine"]
    where = f"{machine['cores']} cores, Linux {machine['kernel']}, {machine['file_system']}"
    return "\n".join((*lines, "", f"Taken {document['taken']} ({where}; [figures]({_FIGURES})).", ""))


def _line(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _label(name: str, versions: Mapping[str, str | None]) -> str:
    if (own := _OURS.match(name)) is not None:
        options = f"fswatch-builder, `--tracker {own['tracker']}{own['options']}`"
        return f"**{options}**" if own["tracker"] == "auto" else options
    builder, _, mode = name.partition(" ")
    version = _VERSION.search(versions.get(name) or versions.get(builder) or "")
    number = f" {version[1]}" if version else ""
    match builder:
        case "kaniko":
            return f"kaniko{number}, `{mode}`"
        case "buildah":
            return f"buildah{number}, isolation chroot"
        case _:
            return f"BuildKit (dockerd{number})" if mode else f"BuildKit{number}"


def show(readme: str, results: str) -> None:
    """Puts the table of ``results`` into its place. ValueError if the README has none."""
    with open(results) as file:
        put(readme, (BEGIN, END), table(json.load(file)))


def main(argv: list[str]) -> None:
    """Writes the README of this tree."""
    argparse.ArgumentParser(prog="python -m benchmarks costs", description=__doc__).parse_args(argv)
    show(os.path.join(_ROOT, "README.md"), os.path.join(_ROOT, _FIGURES))
