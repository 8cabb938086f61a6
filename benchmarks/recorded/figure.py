"""The figure that says most: what finding out costs, by the size of the tree, watching and scanning."""

from collections.abc import Iterable, Mapping
from math import ceil, floor, log10
from typing import Any

import vl_convert  # type: ignore[import-not-found,import-untyped,unused-ignore]

from fswatch_builder.research.bench.document import Document
from fswatch_builder.research.strategies import strategies

Spec = dict[str, Any]

_WORKLOAD = "one-file"
_SHAPE = "wide-"
_NAMES = {
    "scan": "scan",
    "scan-hash": "scan-hash (kaniko full)",
    "scan-meta": "scan-meta (kaniko redo)",
    "scan-time": "scan-time (kaniko time)",
}
_COLOURS = {"light": ("#1f2328", "#d0d7de", "white"), "dark": ("#e6edf3", "#3d444d", "#0d1117")}
_SCALE = 2
"""Pixels of the PNG for each of the SVG's."""


def finding_out(document: Document) -> Spec:
    """From the end of a command that changed one file to the list of changes: medians, and the intervals that hold them
    with 95 % confidence.
    """
    entries = {tree.name: tree.entries for tree in document.trees}
    known = strategies()
    data: list[dict[str, Any]] = [
        {
            "entries": entries[judged.contest.corpus],
            "way": _NAMES.get(summary.cell.strategy, summary.cell.strategy),
            "how": "watching" if known[summary.cell.strategy].watches else "scanning",
            "ms": summary.after.median * 1000,
            "low": summary.after.low * 1000,
            "high": summary.after.high * 1000,
        }
        for judged in document.results
        if judged.contest.workload == _WORKLOAD and judged.contest.corpus.startswith(_SHAPE)
        for summary in judged.contest.summaries
        if summary.after is not None
    ]
    x = {
        "field": "entries",
        "type": "quantitative",
        "title": "entries in the tree",
        "scale": {"type": "log", "nice": False, "padding": 24},
        "axis": {"format": "~s", "values": _powers(row["entries"] for row in data), "domain": False},
    }
    y = {
        "type": "quantitative",
        "scale": {"type": "log"},
        "axis": {"format": "~g", "values": _powers(row["ms"] for row in data), "domain": False},
    }
    order = list(dict.fromkeys(row["way"] for row in sorted(data, key=lambda row: (-row["entries"], -row["ms"]))))
    way = {"field": "way", "type": "nominal", "sort": order}
    legend = {"title": None, "labelLimit": 260, "symbolSize": 110}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": {
            "text": "Finding out what a RUN changed: one file",
            "subtitle": "From the end of the command to the list of changes; solid: watching, dashed: scanning",
            "anchor": "start",
        },
        "data": {"values": data},
        "width": 560,
        "height": 300,
        "layer": [
            {
                "mark": {"type": "line", "point": {"size": 60, "filled": True}, "strokeWidth": 2.5},
                "encoding": {
                    "x": x,
                    "y": {**y, "field": "ms", "title": "milliseconds"},
                    "color": {**way, "legend": legend},
                    "shape": {**way, "legend": None},
                    "strokeDash": {"field": "how", "type": "nominal", "sort": ["watching", "scanning"], "legend": None},
                },
            },
            {
                "mark": {"type": "rule", "color": "gray"},
                "encoding": {
                    "x": x,
                    "y": {**y, "field": "low"},
                    "y2": {"field": "high"},
                },
            },
        ],
    }


def _powers(values: Iterable[float]) -> list[float]:
    """Powers of ten that enclose them: where lines of the grid are."""
    found = list(values)
    low, high = floor(log10(min(found))), ceil(log10(max(found)))
    return [10.0**power for power in range(low, high + 1)]


def write_figures(name: str, spec: Spec) -> Mapping[str, bytes]:
    """As SVG for both colour schemes of a reader, and as PNG; by file name."""
    found: dict[str, bytes] = {}
    for scheme in _COLOURS:
        coloured = {**spec, "config": _config(scheme)}
        found[f"{name}-{scheme}.svg"] = vl_convert.vegalite_to_svg(coloured).encode()
        found[f"{name}-{scheme}.png"] = vl_convert.vegalite_to_png(coloured, scale=_SCALE)
    return found


def _config(scheme: str) -> Spec:
    text, line, background = _COLOURS[scheme]
    words = {"labelColor": text, "titleColor": text}
    return {
        "background": background,
        "font": "sans-serif",
        "view": {"stroke": None},
        "axis": {**words, "gridColor": line, "domainColor": line, "tickColor": line, "labelFontSize": 12},
        "legend": {**words, "labelFontSize": 12},
        "title": {"color": text, "subtitleColor": text, "fontSize": 16, "subtitleFontSize": 12},
        "range": {"category": {"scheme": "tableau10"}},
    }
