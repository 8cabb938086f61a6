"""The page, as text: nothing in it leads out, and no name gets out of where it stands."""

import re

import pytest
from msgspec.structs import replace

from fswatch_builder.errors import UsageError
from fswatch_builder.research.bench.document import Document, document
from fswatch_builder.research.bench.rows import Plan
from fswatch_builder.research.limits.claims import Finding
from fswatch_builder.research.limits.experiment import Column, Figure, Row
from fswatch_builder.research.limits.run import LOAD, REPETITION, SCHEMA, Report, Settings
from fswatch_builder.research.machine import Machine
from fswatch_builder.research.report import charts, sections
from fswatch_builder.research.report.page import page
from tests.unit.research.test_bench_engine import STRATEGIES, run

HOSTILE = '</script><script>alert("x")</script><!-- &'


@pytest.fixture
def bench(machine: Machine) -> Document:
    plan = Plan(("tree",), ("work",), STRATEGIES, 3, 1, "warm", machine)
    return document(plan, run(), taken="2026-01-01T00:00:00+00:00", command="fswatch-builder bench")


@pytest.fixture
def limits(machine: Machine) -> Report:
    columns = (Column("size", "B", "how large"), Column("shape", "", "how"), Column("seconds", "s", "how long"))
    rows: list[Row] = [
        {"size": size, "shape": shape, "seconds": size * 0.5, "repetition": 0, "load": 0.0}
        for size in (1, 10)
        for shape in ("a", HOSTILE)
    ]
    return Report(
        Settings(SCHEMA, "made", (), 1, 1, machine),
        "2026-01-01T00:00:00+00:00",
        "fswatch-builder limits made",
        "Why?",
        "By asking.",
        (*columns, REPETITION, LOAD),
        (Figure("It", "line", "size", "seconds", "shape", log_x=True),),
        tuple(rows),
    )


def test_a_page_holds_all_it_needs(bench: Document, limits: Report) -> None:
    text = page([bench], [limits]).decode()
    outside = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?https?:""", outside)
    assert "@import" not in text.split("<script>")[0]
    assert "watching saves 2.5 s of 4.0 s a RUN here; use fanotify" in text
    assert "fswatch-builder limits made" in text


def test_a_name_stays_a_name(bench: Document, limits: Report) -> None:
    text = page([replace(bench, command=HOSTILE)], [limits]).decode()
    assert HOSTILE not in text
    assert 'alert("x")' not in text
    # Those of the page itself: data, the engine, what puts it to use.
    assert text.count("<script") == text.count("</script>") == 3


def test_several_machines_stand_side_by_side(machine: Machine, limits: Report) -> None:
    other = replace(limits, settings=replace(limits.settings, machine=replace(machine, kernel="6.1.0")))
    text = page([], [limits, other]).decode()
    assert "Linux 6.1.0" in text
    assert text.count('<h2 id="limits-made"') == 1
    # What one command did on one machine is told once.
    assert text.count("<pre>fswatch-builder limits made</pre>") == 2


def test_machines_are_called_by_what_tells_them_apart(machine: Machine, limits: Report) -> None:
    def called(*machines: Machine) -> list[str]:
        reports = [replace(limits, settings=replace(limits.settings, machine=it)) for it in machines]
        return list(sections.labels(reports).values())

    plain = f"Linux {machine.kernel}, {machine.file_system}"
    assert called(machine, machine) == [plain]
    assert called(machine, replace(machine, processor="Other")) == [
        f"{plain}, {machine.processor}",
        f"{plain}, Other",
    ]
    assert called(machine, replace(machine, watches=1)) == [f"{plain} (1)", f"{plain} (2)"]


def test_two_runs_on_one_machine_are_told_apart(limits: Report) -> None:
    assert list(sections.labelled([limits, limits], sections.labels([limits]))) == [
        f"{name} ({number})" for name in sections.labels([limits]).values() for number in (1, 2)
    ]


def test_what_was_refuted_is_as_visible_as_what_was_reproduced(limits: Report) -> None:
    found = Finding("it is 2", "somebody", 1.9, 2.1, "s", 7.0, "refuted")
    text = page([], [replace(limits, findings=(found,))]).decode()
    assert '<p class="verdict loses">refuted, 7 s here: it is 2 (somebody' in text


def test_a_logarithm_is_taken_of_what_has_one(limits: Report) -> None:
    (figure,) = limits.figures
    spec = charts.figure(figure, {"here": limits})
    assert spec["layer"][0]["encoding"]["x"]["scale"] == {"type": "log", "nice": False}
    nothing = replace(limits, rows=(*limits.rows, {**limits.rows[0], "size": 0}))
    spec = charts.figure(figure, {"here": nothing})
    assert spec["layer"][0]["encoding"]["x"]["scale"] == {"zero": True}


def test_a_figure_shows_only_what_it_is_of(limits: Report) -> None:
    (figure,) = limits.figures
    spec = charts.figure(replace(figure, only=("shape", "a")), {"here": limits})
    assert {row["shape"] for row in spec["data"]["values"]} == {"a"}


def test_machines_stand_beside_each_other_in_the_order_they_were_named(limits: Report) -> None:
    (figure,) = limits.figures
    spec = charts.figure(figure, {"z": limits, "a": limits})
    assert spec["facet"]["column"]["sort"] == ["z", "a"]


def test_what_draws_it_may_be_missing(monkeypatch: pytest.MonkeyPatch, bench: Document) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    with pytest.raises(UsageError, match="vl-convert-python"):
        page([bench], [])
