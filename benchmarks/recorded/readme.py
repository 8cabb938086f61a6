"""The figure's place in the README: between two comments, and empty until there is one."""

import os

from fswatch_builder.oci.whole import whole_file
from fswatch_builder.research.bench.document import Document

BEGIN, END = "<!-- figure -->", "<!-- end of figure -->"


def show(readme: str, name: str, document: Document) -> None:
    """Puts the recorded figure there, with what it was taken on. ValueError if the README has no such place."""
    with open(readme) as file:
        text = file.read()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{readme} has no place for a figure")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    with whole_file(os.path.abspath(readme)) as written:
        written.write("".join((before, BEGIN, "\n", _figure(name, document), END, after)).encode())


def _figure(name: str, document: Document) -> str:
    results = "benchmarks/results"
    machine = document.plan.machine
    trials = max(summary.trials for judged in document.results for summary in judged.contest.summaries)
    return f"""\
<picture>
  <source media="(prefers-color-scheme: dark)" srcset="{results}/{name}-dark.svg">
  <img alt="Milliseconds to find out that a RUN changed one file, by the size of the tree: watching and scanning" \
src="{results}/{name}-light.svg">
</picture>

Medians of up to {trials} trials, {machine.cores} processors, Linux {machine.kernel}, {machine.file_system}; all of \
it, as a page to download: [{name}.html]({results}/{name}.html).
"""
