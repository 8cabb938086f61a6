"""The section of a user's own Dockerfile: who builds it how fast, and whether all build the same."""

from html import escape

from fswatch_builder.research.bench.verdict import Outcome
from fswatch_builder.research.builds.document import BuildDocument
from fswatch_builder.research.builds.summary import BuildSummary
from fswatch_builder.research.estimates import Estimate
from fswatch_builder.research.machine import NOISY
from fswatch_builder.research.report.charts import building
from fswatch_builder.research.report.sections import Page, head, noisy
from fswatch_builder.research.report.tables import Cell, number, table

_HEADER = (
    ("builder", "who builds, and how changes are found"),
    ("whole build, s", "nothing from the cache, the program's start included"),
    ("a RUN takes, ms", "by the builder's own clock, the command included; what is done once a build is not"),
    ("±", "half the interval that holds the median with 95 % confidence"),
    ("its command, ms", "of that, the command alone"),
    ("finds out, ms", "from the command's end to the list of changes"),
    ("packs, ms", "the layer, compressed and stored"),
    ("once a build, ms", "making the root file system, arming"),
    ("processor, s", "of the builder and its commands; a daemon's is not known"),
    ("memory, MiB", "of the largest process; a daemon's is not known"),
    ("image differs in", "paths, from the image of a scan that reads everything"),
)
_SHOWN = 100


def of_builds(page: Page, document: BuildDocument) -> None:
    """Adds it."""
    plan, contest = document.plan, document.contest
    anchor = f"build-{len(page.links)}"
    page.links.append((anchor, f"build of {plan.context}"))
    page.parts.append(f'<section><h2 id="{anchor}">Build of {escape(plan.context)}</h2>')
    page.parts.append(head(plan.machine, document.taken, document.command, "warm cache"))
    if document.noise > NOISY:
        page.parts.append(noisy(document.noise))
    loses = " loses" if document.verdict is not None and document.verdict.outcome is Outcome.SCANNING else ""
    page.parts.append(f'<p class="verdict{loses}">{escape(document.sentence)}</p>')
    page.parts.append(page.chart(building(document), f"What the build of {plan.context} takes, and a RUN of it"))
    best = None if document.verdict is None else document.verdict.use
    rows = [_cells(summary) for summary in contest.summaries]
    page.parts.append(table(_HEADER, rows, [it.contestant.name == best for it in contest.summaries]))
    page.parts += [f"<p>{escape(it.builder)}: {escape(it.problem)}</p>" for it in contest.failures]
    page.parts += [f"<p>{escape(it.name)} is absent: {escape(it.reason)}</p>" for it in plan.absent]
    page.parts += [_paths(f"Images of {it.contestant.name} differ in", it.examples) for it in contest.summaries]
    page.parts.append(_paths("From build to build commands make something else of", contest.varying))
    for one in document.differences:
        if one.problem is not None:
            page.parts.append(f"<p>{escape(one.builder)}: its image was not compared: {escape(one.problem)}</p>")
        elif not one.paths:
            page.parts.append(f"<p>{escape(one.builder)}: its image has the same files as ours, times aside.</p>")
        page.parts.append(_paths(f"From the image of {one.builder} to ours, times aside", one.paths))
    versions = "".join(
        f"<dt>{escape(it.name)}</dt><dd>{escape(' '.join((it.version, it.means)).strip())}</dd>"
        for it in plan.contestants
    )
    page.parts.append(f"<h3>Builders</h3><dl>{versions}</dl></section>")


def _cells(summary: BuildSummary) -> list[Cell]:
    def ms(estimate: Estimate | None) -> Cell:
        return number(None if estimate is None else estimate.median, scale=1000)

    half = None if summary.run is None else (summary.run.high - summary.run.low) / 2
    memory = None if summary.peak_rss is None else float(summary.peak_rss)
    return [
        Cell(summary.label),
        number(summary.whole.median),
        ms(summary.run),
        number(half, scale=1000),
        ms(summary.command),
        ms(summary.find),
        ms(summary.pack),
        ms(summary.once),
        number(None if summary.cpu is None else summary.cpu.median),
        number(memory, scale=1 / 2**20, digits=0),
        number(summary.differs, kind="bad" if summary.differs else ""),
    ]


def _paths(title: str, paths: tuple[str, ...]) -> str:
    if not paths:
        return ""
    listed = "".join(f"<li><code>{escape(path)}</code></li>" for path in paths[:_SHOWN])
    more = f"<p>and {len(paths) - _SHOWN:,} more in the file</p>" if len(paths) > _SHOWN else ""
    return f"<details><summary>{escape(title)}: {len(paths):,}</summary><ul>{listed}</ul>{more}</details>"
