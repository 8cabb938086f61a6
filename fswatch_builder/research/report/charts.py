"""Charts as Vega-Lite specifications: plain values, drawn by the page itself.

Every chart has a legend that filters at a click, tooltips, and marks that can be told apart without colour.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fswatch_builder.research.bench.document import Document
from fswatch_builder.research.builds.document import BuildDocument
from fswatch_builder.research.limits.experiment import Column, Figure
from fswatch_builder.research.limits.run import Report
from fswatch_builder.research.strategies import UNWATCHED

Spec = dict[str, Any]

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_WIDTH, _HEIGHT = 560, 280
_WIDTH_OF_ALL = 800
"""Of charts that stand side by side."""
_NAMES = {"labelLimit": 300, "labelExpr": "isNumber(datum.value) ? format(datum.value, ',') : datum.label"}
"""An axis of names, some of which are numbers."""
WHERE = "measured on"
"""The column that tells machines apart."""


def figure(of: Figure, reports: Mapping[str, Report]) -> Spec:
    """One figure of an experiment; ``reports`` by what each machine is called."""
    columns = {column.name: column for report in reports.values() for column in report.columns}
    names = (of.x, of.y, of.by, *([of.below] if of.below else []))
    data = [
        {**{name: _value(row[name]) for name in names}, WHERE: where}
        for where, report in reports.items()
        for row in report.rows
        if row[of.y] is not None and (of.only is None or row[of.only[0]] == of.only[1])
    ]
    axes = {
        name: _axis(columns[name], log=log, values=[row[name] for row in data])
        for name, log in ((of.x, of.log_x), (of.y, of.log_y))
    }
    width = _WIDTH if len(reports) == 1 else max(240, _WIDTH_OF_ALL // len(reports))
    legend = f"{_said(columns[of.by])} (click)"
    match of.kind:
        case "line":
            spec = {**_lines(of, axes, columns[of.y].middle, legend), "width": width}
        case "bar":
            spec = {**_bars(of, axes, columns[of.y].middle, legend), "width": width}
        case "marks":
            spec = _marks(of)
    # A table of marks is higher than wide.
    one, other = ("row", "column") if of.kind == "marks" else ("column", "row")
    facet: Spec = {one: {"field": WHERE, "title": None, "sort": list(reports)}} if len(reports) > 1 else {}
    if of.below:
        facet[other] = {"field": of.below, "title": None}
    if facet:
        spec = {"facet": facet, "spec": spec}
    return {"$schema": _SCHEMA, "data": {"values": data}, **spec}


def costs(document: Document, corpus: str) -> Spec:
    """What a RUN costs under each strategy, by workload, on one tree."""
    data = [
        {
            "workload": judged.contest.workload,
            "strategy": summary.cell.strategy,
            "milliseconds": summary.costs.median * 1000,
            "low": summary.costs.low * 1000,
            "high": summary.costs.high * 1000,
            "missed": summary.missed,
            "truth": "missed changes" if summary.missed else "",
        }
        for judged in document.results
        for summary in judged.contest.summaries
        if judged.contest.corpus == corpus and summary.costs is not None and summary.cell.strategy != UNWATCHED
    ]
    x = {"field": "milliseconds", "type": "quantitative", "title": "a RUN takes longer by, ms (95 % interval)"}
    y = {"field": "strategy", "type": "nominal", "title": None}
    shown = {"condition": {"param": "chosen", "value": 1}, "value": 0.12}
    tooltip = [{"field": name} for name in ("workload", "strategy")]
    tooltip += [{"field": name, "format": ".3~f"} for name in ("milliseconds", "low", "high", "missed")]
    return {
        "$schema": _SCHEMA,
        "data": {"values": data},
        "facet": {"row": {"field": "workload", "title": None, "header": {"labelAngle": 0, "labelAlign": "left"}}},
        "spec": {
            "width": _WIDTH,
            "layer": [
                {
                    "params": [_filter("strategy")],
                    "mark": {"type": "bar"},
                    "encoding": {
                        "x": x,
                        "y": y,
                        "color": {"field": "strategy", "type": "nominal", "title": "strategy (click)"},
                        "opacity": shown,
                        "tooltip": tooltip,
                    },
                },
                {
                    "mark": {"type": "rule"},
                    "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}, "y": y},
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 6, "fontWeight": "bold"},
                    "encoding": {
                        "x": {"field": "high", "type": "quantitative"},
                        "y": y,
                        "text": {"field": "truth"},
                        "color": {"value": "#c0392b"},
                    },
                },
            ],
        },
        "resolve": {"scale": {"x": "independent"}},
    }


def building(document: BuildDocument) -> Spec:
    """What a whole build takes with each builder, and a RUN of it."""
    parts = [
        (of, summary.contestant, taken)
        for summary in document.contest.summaries
        for of, taken in (("whole build", summary.whole), ("a RUN", summary.run))
        if taken is not None
    ]
    data = [
        {
            "of": of,
            "builder": contestant.name,
            "kind": contestant.kind,
            "milliseconds": taken.median * 1000,
            "low": taken.low * 1000,
            "high": taken.high * 1000,
        }
        for of, contestant, taken in parts
    ]
    y = {"field": "builder", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 260}}
    tooltip = [{"field": name} for name in ("of", "builder", "kind")]
    tooltip += [{"field": name, "format": ".3~f"} for name in ("milliseconds", "low", "high")]
    return {
        "$schema": _SCHEMA,
        "data": {"values": data},
        "facet": {
            "row": {
                "field": "of",
                "title": None,
                "sort": ["whole build", "a RUN"],
                "header": {"labelAngle": 0, "labelAlign": "left"},
            }
        },
        "spec": {
            "width": _WIDTH,
            "height": {"step": 22},
            "layer": [
                {
                    "params": [_filter("kind")],
                    "mark": {"type": "bar"},
                    "encoding": {
                        "x": {"field": "milliseconds", "type": "quantitative", "title": "takes, ms (95 % interval)"},
                        "y": y,
                        "color": {"field": "kind", "type": "nominal", "title": "kind (click)"},
                        "opacity": {"condition": {"param": "chosen", "value": 1}, "value": 0.12},
                        "tooltip": tooltip,
                    },
                },
                {
                    "mark": {"type": "rule"},
                    "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}, "y": y},
                },
            ],
        },
        "resolve": {"scale": {"x": "independent"}},
    }


def _lines(of: Figure, axes: Mapping[str, Spec], aggregate: str, legend: str) -> Spec:
    colour = {"field": of.by, "type": "nominal", "title": legend}
    shown = {"condition": {"param": "chosen", "value": 1}, "value": 0.08}
    middle = {**axes[of.y], "aggregate": aggregate}
    both = {"x": axes[of.x], "color": colour, "opacity": shown}
    extent = {**axes[of.y], "aggregate": "min"}
    return {
        "height": _HEIGHT,
        "layer": [
            {
                "params": [_filter(of.by)],
                "mark": {"type": "line", "point": {"size": 50}},
                "encoding": {
                    **both,
                    "y": middle,
                    "strokeDash": {"field": of.by, "type": "nominal", "legend": None},
                    "shape": {"field": of.by, "type": "nominal", "legend": None},
                    "tooltip": [
                        {"field": of.by, "type": "nominal"},
                        {"field": of.x, "type": "quantitative"},
                        {"aggregate": aggregate, "field": of.y, "type": "quantitative", "format": ".3~g"},
                        {"aggregate": "count", "title": "rows"},
                    ],
                },
            },
            {
                "mark": {"type": "rule"},
                "encoding": {**both, "y": extent, "y2": {"aggregate": "max", "field": of.y}},
            },
        ],
    }


def _bars(of: Figure, axes: Mapping[str, Spec], aggregate: str, legend: str) -> Spec:
    return {
        "height": {"step": 26},
        "params": [_filter(of.by)],
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": of.x, "type": "nominal", "title": of.x.replace("_", " "), "sort": None, "axis": _NAMES},
            **({} if of.by == of.x else {"yOffset": {"field": of.by, "type": "nominal"}}),
            "x": {**axes[of.y], "aggregate": aggregate},
            "color": {"field": of.by, "type": "nominal", "title": legend},
            "opacity": {"condition": {"param": "chosen", "value": 1}, "value": 0.12},
            "tooltip": [
                {"field": of.x, "type": "nominal"},
                {"field": of.by, "type": "nominal"},
                {"aggregate": aggregate, "field": of.y, "type": "quantitative", "format": ".3~g"},
            ],
        },
    }


def _marks(of: Figure) -> Spec:
    """Yes or no for each pair: a filled square or a cross, not colour alone."""
    return {
        "width": {"step": 42},
        "height": {"step": 20},
        "params": [_filter(of.y)],
        "mark": {"type": "point", "filled": True, "size": 130},
        "encoding": {
            "x": {
                "field": of.x,
                "type": "nominal",
                "title": None,
                "sort": None,
                "axis": {**_NAMES, "orient": "top", "labelAngle": -40, "labelAlign": "left"},
            },
            "y": {"field": of.by, "type": "nominal", "title": None, "sort": None, "axis": _NAMES},
            "shape": {
                "field": of.y,
                "type": "nominal",
                "scale": {"domain": ["yes", "no"], "range": ["square", "cross"]},
            },
            "color": {
                "field": of.y,
                "type": "nominal",
                "title": f"{of.y} (click)",
                "legend": {"orient": "bottom"},
                "scale": {"domain": ["yes", "no"], "range": ["#2a9d8f", "#c0392b"]},
            },
            "opacity": {"condition": {"param": "chosen", "value": 1}, "value": 0.08},
            "tooltip": [{"field": name, "type": "nominal"} for name in (of.x, of.by, of.y)],
        },
    }


def _filter(by: str) -> Spec:
    return {"name": "chosen", "select": {"type": "point", "fields": [by]}, "bind": "legend"}


def _axis(column: Column, *, log: bool, values: Sequence[object]) -> Spec:
    numbers = [value for value in values if isinstance(value, int | float)]
    # What is nothing at times has no logarithm.
    scale: Spec = {"type": "log", "nice": False} if log and numbers and min(numbers) > 0 else {"zero": True}
    axis: Spec = {"labelOverlap": True, "tickCount": 8}
    if column.name.endswith("share"):
        axis["format"] = ".2~%"
    return {"field": column.name, "type": "quantitative", "title": _said(column), "scale": scale, "axis": axis}


def _said(column: Column) -> str:
    """The name of a column for people: its unit stands once."""
    name = column.name.removesuffix("_ms").removesuffix("_us").removeprefix("us_").replace("seconds", "time")
    name = name.replace("_", " ")
    return f"{name}, {column.unit}" if column.unit else name


def _value(value: object) -> object:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def corpora(document: Document) -> Sequence[str]:
    """Trees that were measured, in order."""
    return list(dict.fromkeys(judged.contest.corpus for judged in document.results))
