"""The parts of the page: what was asked, what came out, and everything it takes to doubt it."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from msgspec import Struct, field

from fswatch_builder.research.bench.summary import failures
from fswatch_builder.research.bench.verdict import Outcome
from fswatch_builder.research.limits.middles import columns, middles
from fswatch_builder.research.limits.model import Model, advice, models
from fswatch_builder.research.limits.run import LOAD
from fswatch_builder.research.machine import NOISY, Machine
from fswatch_builder.research.peers.ours import OURS
from fswatch_builder.research.report import charts
from fswatch_builder.research.report.charts import Spec
from fswatch_builder.research.report.tables import Cell, number, table
from fswatch_builder.research.strategies import strategies

if TYPE_CHECKING:
    from fswatch_builder.research.bench.document import Document, Judged
    from fswatch_builder.research.bench.summary import BuilderSummary, Summary
    from fswatch_builder.research.estimates import Estimate
    from fswatch_builder.research.limits.claims import Finding
    from fswatch_builder.research.limits.experiment import Column, Row, Scalar
    from fswatch_builder.research.limits.run import Report

_ROWS_SHOWN = 400

_BUILDERS_HEADER = (
    ("builder", "who builds an image, with the command as its last RUN"),
    ("whole build, ms", "nothing from the cache, the program's start included"),
    ("±", "half the interval that holds the median with 95 % confidence"),
    ("missed", "changes that its layers do not list; judged by what the command does here, some do else elsewhere"),
    ("spurious", "paths of the tree that they list and the command did not change"),
    ("a RUN takes, ms", "by the builder's own clock, the command included"),
    ("a RUN costs, ms", "what of that is more than the command alone, with nobody watching"),
    ("processor, ms", "of the builder and its commands; a daemon's is not known"),
    ("memory, MiB", "of the largest process; a daemon's is not known"),
    ("listed", "paths of the tree that its layers list"),
)
_BENCH_HEADER = (
    ("strategy", "how changes are found"),
    ("a RUN costs, ms", "what a RUN takes longer than the command alone: slowdown, settling, comparing"),
    ("±", "half the interval that holds the median with 95 % confidence"),
    ("missed", "changes that were not told, judged independently"),
    ("spurious", "changes that were told and are none"),
    ("slows by", "the watched command's time to the unwatched one's"),
    ("finds out, ms", "from the command's end to the list of changes"),
    ("settles, ms", "of that, until the tracker has said where to look"),
    ("compares, ms", "of that, looking there"),
    ("arms, ms", "once a build"),
    ("packs, ms", "the layer, without compression"),
    ("processor, ms", "of the builder, the command's not counted"),
    ("memory, MiB", "of the builder at most"),
    ("charged, MiB", "to builder and command at most, pages of files too, where they have a cgroup of their own"),
    ("kernel, KiB", "what the kernel took for watches and marks; of the whole machine where there is no such cgroup"),
    ("events", "that the tracker read"),
    ("looked at", "entries"),
)


class Page(Struct):
    """HTML and the charts it refers to, as they come together."""

    parts: list[str] = field(default_factory=list)
    charts: dict[str, Spec] = field(default_factory=dict)
    links: list[tuple[str, str]] = field(default_factory=list)

    def chart(self, spec: Spec, says: str) -> str:
        """Where a chart will be drawn; ``says`` is for those who cannot see it."""
        name = f"chart-{len(self.charts)}"
        self.charts[name] = spec
        return f'<div class="chart" id="{name}" role="img" aria-label="{escape(says)}"></div>'


def bench(page: Page, document: "Document") -> None:
    """The sections of one run of `bench`."""
    page.parts.append(head(document.plan.machine, document.taken, document.command, f"{document.plan.cache} cache"))
    if document.noise > NOISY:
        page.parts.append(noisy(document.noise))
    page.parts.append(_wins(document))
    for number_, corpus in enumerate(charts.corpora(document)):
        anchor = f"tree-{len(page.links)}-{number_}"
        cache = f"{document.plan.cache} cache"
        page.links.append((anchor, f"{corpus}, {cache}"))
        entries = next((tree.entries for tree in document.trees if tree.name == corpus), 0)
        page.parts.append(f'<section><h2 id="{anchor}">{escape(corpus)}: {entries:,} entries, {cache}</h2>')
        page.parts.append(page.chart(charts.costs(document, corpus), f"What a RUN costs on {corpus}"))
        for judged in document.results:
            if judged.contest.corpus == corpus:
                page.parts.append(_contest(judged))
        page.parts.append("</section>")
    meanings = "".join(f"<dt>{escape(it.name)}</dt><dd>{escape(it.means)}</dd>" for it in strategies().values())
    page.parts.append(f"<section><h2>Strategies</h2><dl>{meanings}</dl>{_takes_part(document)}</section>")


def _takes_part(document: "Document") -> str:
    """Builders with their versions, and those that were asked for and are not there."""
    plan = document.plan
    here = "".join(f"<dt>{escape(it.name)}</dt><dd>{escape(it.version)}</dd>" for it in plan.builders)
    absent = "".join(f"<p>{escape(it.name)} is absent: {escape(it.reason)}</p>" for it in plan.absent)
    return f"<h3>Builders</h3><dl>{here}</dl>{absent}" if here or absent else ""


def machines(page: Page, reports: "Sequence[Report]", names: "Mapping[Machine, str]") -> None:
    """Where experiments were done and how to do them again: once for all that one command did."""
    if not reports:
        return
    page.links.append(("limits", "limits"))
    page.parts.append('<section><h2 id="limits">How far watching goes</h2>')
    runs: dict[tuple[Machine, str], list[Report]] = {}
    for report in reports:
        runs.setdefault((report.settings.machine, report.command), []).append(report)
    for (machine, command), of_one in runs.items():
        page.parts.append(f"<h3>{escape(names[machine])}</h3>")
        page.parts.append(head(machine, min(report.taken for report in of_one), command, f"{len(of_one)} experiments"))
    page.parts.append("</section>")


def experiment(page: Page, name: str, reports: "Mapping[str, Report]") -> None:
    """The section of one experiment, of one machine or several."""
    first = next(iter(reports.values()))
    page.links.append((f"limits-{name}", name))
    page.parts.append(f'<section><h2 id="limits-{name}">{escape(first.asks)}</h2><p>{escape(first.method)}</p>')
    for where, report in reports.items():
        label = f"{where}: " if len(reports) > 1 else ""
        page.parts.append(f'<p class="soft">{escape(label)}{escape(_terms(name, report))}</p>')
        loads = [float(row[LOAD.name] or 0) for row in report.rows]
        if loads and sum(loads) / len(loads) > NOISY:
            page.parts.append(noisy(sum(loads) / len(loads)))
        page.parts += [f'<p class="verdict">{escape(advice(model))}</p>' for model in _models(name, report)]
        page.parts += [_finding(finding) for finding in report.findings]
    for figure in first.figures:
        page.parts.append(f"<h3>{escape(figure.title)}</h3>")
        page.parts.append(page.chart(charts.figure(figure, reports), figure.title))
    for where, report in reports.items():
        page.parts.append(_tables(report, where if len(reports) > 1 else ""))
    page.parts.append("</section>")


def _terms(name: str, report: "Report") -> str:
    repeat = report.settings.repeat
    terms = [f"limits {name}, seed {report.settings.seed}", f"{repeat} repetitions" if repeat > 1 else "done once"]
    terms.append(f"root: {report.needs_root}" if report.needs_root else "any user can do it")
    return "; ".join(terms)


def _finding(finding: "Finding") -> str:
    refuted = " loses" if finding.outcome == "refuted" else ""
    return f'<p class="verdict{refuted}">{escape(str(finding))}</p>'


def _models(name: str, report: "Report") -> "Sequence[Model]":
    return models(report.rows) if name == "break-even" else ()


def head(machine: Machine, taken: str, command: str, more: str) -> str:
    """What it was measured on, when, and how to do it again."""
    what = (
        f"{machine.processor}, {machine.cores} processors, {machine.memory / 2**30:.0f} GiB, Linux {machine.kernel}, "
        f"{machine.file_system}; {machine.watches:,} watches and queues of {machine.queued_events:,} events allowed; "
        f"fswatch-builder {machine.version}, Python {machine.python}; {taken}; {more}"
    )
    return f'<p class="soft">{escape(what)}</p><pre>{escape(command)}</pre>'


def noisy(noise: float) -> str:
    """Said of a run that others have disturbed."""
    return f'<p class="noisy">Noisy: other programs kept {noise:.0%} of the processors busy; take times with care.</p>'


def _wins(document: "Document") -> str:
    """Who won where: watching's losses stand beside its wins."""
    rows = []
    for judged in document.results:
        verdict = judged.verdict
        if verdict is not None:
            kind = "bad" if verdict.outcome is Outcome.SCANNING else ""
            rows.append(
                (
                    Cell(judged.contest.corpus),
                    Cell(judged.contest.workload, kind="text"),
                    Cell(verdict.outcome.value, kind=kind),
                    Cell(verdict.use),
                    number(verdict.saves_s, scale=1000),
                    number(verdict.of_s, scale=1000),
                )
            )
    header = (
        ("tree", "what it was measured on"),
        ("command", "the workload"),
        ("cheaper", "watching, scanning, or equal within what was measured"),
        ("use", "the strategy to use"),
        ("watching saves, ms", "a RUN; less than nothing where it costs"),
        ("of, ms", "what the scan that is as exact costs"),
    )
    return f"<section><h2>Who won where</h2>{table(header, rows)}</section>"


def _contest(judged: "Judged") -> str:
    contest, best = judged.contest, judged.verdict.use if judged.verdict else None
    parts = [f"<h3>{escape(contest.workload)}</h3>"]
    if judged.sentence is not None and judged.verdict is not None:
        loses = " loses" if judged.verdict.outcome is Outcome.SCANNING else ""
        parts.append(f'<p class="verdict{loses}">{escape(judged.sentence)}</p>')
    summaries = [summary for summary in contest.summaries if summary.costs is not None]
    rows = [_summary(summary) for summary in summaries]
    parts.append(table(_BENCH_HEADER, rows, [summary.cell.strategy == best for summary in summaries]))
    if contest.builders:
        parts.append("<h4>As the last RUN of a Dockerfile, on an image of that tree</h4>")
        if judged.of_builders is not None:
            loses = "" if contest.builders[0].builder == OURS else " loses"
            parts.append(f'<p class="verdict{loses}">{escape(judged.of_builders)}</p>')
        parts.append(table(_BUILDERS_HEADER, [_builder(summary) for summary in contest.builders]))
    parts += [f"<p>{escape(', '.join(names))}: {escape(problem)}</p>" for names, problem in failures(contest)]
    return "".join(parts)


def _builder(summary: "BuilderSummary") -> list[Cell]:
    def ms(estimate: "Estimate | None") -> Cell:
        return number(None if estimate is None else estimate.median, scale=1000)

    half = (summary.whole.high - summary.whole.low) / 2
    return [
        Cell(summary.builder),
        ms(summary.whole),
        number(half, scale=1000),
        number(summary.missed, kind="bad" if summary.missed else ""),
        number(summary.spurious, kind="bad" if summary.spurious else ""),
        ms(summary.run),
        ms(summary.costs),
        ms(summary.cpu),
        number(None if summary.peak_rss is None else float(summary.peak_rss), scale=1 / 2**20, digits=0),
        number(summary.listed),
    ]


def _summary(summary: "Summary") -> list[Cell]:
    def ms(estimate: "Estimate | None") -> Cell:
        return number(None if estimate is None else estimate.median, scale=1000)

    half = None if summary.costs is None else (summary.costs.high - summary.costs.low) / 2
    return [
        Cell(summary.cell.strategy),
        ms(summary.costs),
        number(half, scale=1000),
        number(summary.missed, kind="bad" if summary.missed else ""),
        number(summary.spurious, kind="bad" if summary.spurious else ""),
        number(summary.slowdown.median),
        ms(summary.after),
        ms(summary.settle),
        ms(summary.compare),
        ms(summary.arm),
        ms(summary.pack),
        ms(summary.own_cpu),
        number(float(summary.peak_rss), scale=1 / 2**20, digits=0),
        number(None if summary.peak_group is None else float(summary.peak_group), scale=1 / 2**20, digits=0),
        number(float(summary.kernel), scale=1 / 2**10, digits=0),
        number(summary.events),
        number(summary.looked_at),
    ]


def _tables(report: "Report", where: str) -> str:
    """Medians to read, and every row with what its columns mean."""
    said = f", {escape(where)}" if where else ""
    together = list(middles(report))
    parts = [f"<h3>Medians{said}</h3>" if together else ""]
    parts.append(_rows(columns(report), together[:_ROWS_SHOWN]))
    shown = report.rows[:_ROWS_SHOWN]
    rest = len(report.rows) - len(shown)
    more = f"<p>and {rest:,} rows more in the file</p>" if rest else ""
    dictionary = "".join(
        f"<dt>{escape(it.name)}{f', {escape(it.unit)}' if it.unit else ''}</dt><dd>{escape(it.meaning)}</dd>"
        for it in report.columns
    )
    title = f"{len(report.rows):,} rows and what their columns mean{said}"
    rows = _rows(report.columns, shown)
    parts.append(f"<details><summary>{title}</summary><dl>{dictionary}</dl>{rows}{more}</details>")
    return "".join(parts)


def _rows(header: "Sequence[Column]", rows: "Sequence[Row]") -> str:
    names = [(f"{it.name}, {it.unit}" if it.unit else it.name, it.meaning) for it in header]
    return table(names, [[_plain(row[it.name]) for it in header] for row in rows])


def _plain(value: "Scalar") -> Cell:
    match value:
        case None:
            return Cell("")
        case bool():
            return Cell("yes" if value else "no")
        case int():
            return number(value)
        case float():
            return Cell(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}", value)
        case _:
            return Cell(value, kind="text")


def labels(reports: "Sequence[Report]") -> "Mapping[Machine, str]":
    """A name for each machine, as short as tells them apart."""
    machines = list(dict.fromkeys(report.settings.machine for report in reports))
    told = [_told(machine) for machine in machines]
    differing = [number for number, values in enumerate(zip(*told, strict=True)) if len(set(values)) > 1]
    names = [", ".join(parts[number] for number in sorted({0, 1, *differing})) for parts in told]
    return dict(zip(machines, _numbered(names), strict=True))


def labelled(reports: "Sequence[Report]", names: "Mapping[Machine, str]") -> "Mapping[str, Report]":
    """The reports of one experiment by where they were measured, or by which time."""
    return dict(zip(_numbered([names[report.settings.machine] for report in reports]), reports, strict=True))


def _numbered(names: "Sequence[str]") -> "Iterator[str]":
    """Those that come up more than once have a number too."""
    for place, name in enumerate(names):
        yield f"{name} ({names[: place + 1].count(name)})" if names.count(name) > 1 else name


def _told(machine: Machine) -> tuple[str, ...]:
    """What two machines can differ in, first what is always said."""
    return (
        f"Linux {machine.kernel}",
        machine.file_system,
        machine.processor,
        f"{machine.cores} processors",
        f"{machine.memory / 2**30:.0f} GiB",
        "root" if machine.is_root else "an ordinary user",
    )
