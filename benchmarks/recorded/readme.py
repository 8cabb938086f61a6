"""Places in the README for what is recorded: each between two comments."""

import os

from fswatch_builder.oci.whole import whole_file
from fswatch_builder.research.bench.document import Document

BEGIN, END = "<!-- figure -->", "<!-- end of figure -->"


def show(readme: str, name: str, document: Document) -> None:
    """Puts the recorded figure there, with what it was taken on. ValueError if the README has no such place."""
    put(readme, (BEGIN, END), _figure(name, document))


def put(readme: str, place: tuple[str, str], content: str) -> None:
    """Between those two lines. ValueError if the README has no such place."""
    begin, end = place
    with open(readme) as file:
        text = file.read()
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{readme} has no place {begin}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    with whole_file(os.path.abspath(readme)) as written:
        written.write("".join((before, begin, "\n", content, end, after)).encode())


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
