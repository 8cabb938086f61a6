"""The page: one file of HTML that asks nothing of any network."""

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from fswatch_builder.errors import UsageError
from fswatch_builder.research.bench.document import Document
from fswatch_builder.research.builds.document import BuildDocument
from fswatch_builder.research.limits.files import merged
from fswatch_builder.research.limits.run import Report
from fswatch_builder.research.report import sections
from fswatch_builder.research.report.of_builds import of_builds

_TITLE = "Does watching pay, and how far does it go?"


def page(benches: Sequence[Document], reports: Sequence[Report], builds: Sequence[BuildDocument] = ()) -> bytes:
    """Of runs of `bench` and `limits`, of one machine or several. UsageError without what draws it."""
    whole = sections.Page()
    for one in builds:
        of_builds(whole, one)
    for document in benches:
        sections.bench(whole, document)
    names = sections.labels(reports)
    sections.machines(whole, reports, names)
    for name, of_one in merged(reports).items():
        sections.experiment(whole, name, sections.labelled(of_one, names))
    links = "".join(f'<a href="#{anchor}">{escape(name)}</a>' for anchor, name in whole.links)
    parts = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_TITLE}</title><link rel=icon href='data:,'><style>{_asset('style.css')}</style></head><body>",
        f"<h1>{_TITLE}</h1>",
        '<p class="soft">Medians, with intervals of 95 % confidence where ± stands. '
        "Tables sort by a click on a heading, legends filter by a click.</p>",
        f"<nav>{links}</nav>",
        *whole.parts,
        f'<script type="application/json" id="charts">{_data(whole.charts)}</script>',
        f"<script>{engine()}</script><script>{_asset('page.js')}</script>",
        "</body></html>\n",
    )
    return "\n".join(parts).encode()


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text()


def engine() -> str:
    """Vega, Vega-Lite and what puts them into a page."""
    try:
        import vl_convert  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise UsageError(
            "a report needs the package vl-convert-python", hint="pip install 'fswatch-builder[report]'"
        ) from error
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # A string in it must not end the element that it stands in.
    return bundle.replace("</script", "<\\/script")


def _data(value: object) -> str:
    """JSON that can stand in an element: names of files are anybody's."""
    return json.dumps(value).replace("<", "\\u003c")
