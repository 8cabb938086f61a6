"""The figure that is recorded for the README, and its place there."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.recorded.figure import finding_out, write_figures
from benchmarks.recorded.readme import BEGIN, END, show
from fswatch_builder.research.bench.document import document
from fswatch_builder.research.bench.engine import rows
from fswatch_builder.research.bench.rows import Plan, Tree
from fswatch_builder.research.bench.schedule import turns
from fswatch_builder.research.machine import describe
from tests.unit.research.test_bench_engine import KNOWN, STRATEGIES

README = Path(__file__).parents[3] / "README.md"
SIZES = {"wide-1k": 1_101, "wide-10k": 11_011, "site-packages-1k": 1_300}


@pytest.fixture
def found(tmp_path):
    plan = Plan(tuple(SIZES), ("one-file", "untar"), STRATEGIES, 3, 1, "warm", describe(str(tmp_path)))
    done = [
        row
        for name, entries in SIZES.items()
        for row in rows(
            Tree(name, entries, "sha256:0"),
            lambda cell: KNOWN[cell.strategy],
            turns(name, plan.workloads, STRATEGIES, 3, 1),
            lambda: 0.0,
        )
    ]
    return document(plan, done, taken="2026-01-01T00:00:00+00:00", command="python -m benchmarks report")


def test_it_shows_what_finding_out_costs_of_one_file_by_the_size_of_the_tree(found):
    data = {(row["entries"], row["way"]): (row["how"], row["ms"]) for row in finding_out(found)["data"]["values"]}
    assert data == {
        (entries, way): value
        for entries in (1_101, 11_011)
        for way, value in {
            "fanotify": ("watching", 500.0),
            "scan": ("scanning", 4_000.0),
            "scan-time (kaniko time)": ("scanning", 250.0),
        }.items()
    }


def test_it_is_drawn_for_both_colour_schemes(found):
    files = write_figures("name", finding_out(found))
    assert sorted(files) == ["name-dark.png", "name-dark.svg", "name-light.png", "name-light.svg"]
    assert all(files[f"name-{scheme}.png"].startswith(b"\x89PNG") for scheme in ("light", "dark"))
    light, dark = (files[f"name-{scheme}.svg"].decode() for scheme in ("light", "dark"))
    assert all("scan-time (kaniko time)" in svg and "Finding out what a RUN changed" in svg for svg in (light, dark))
    assert light != dark
    assert "http://" not in light.replace("http://www.w3.org/", "")


def test_the_readme_has_one_place_for_it_and_the_last_one_stands_there(tmp_path, found):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    show(str(readme), "old", found)
    show(str(readme), "new", replace(found, noise=0.5))
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "new-dark.svg" in text
    assert "old" not in text
    readme.write_text("nothing\n")
    with pytest.raises(ValueError, match="no place"):
        show(str(readme), "new", found)


def test_what_the_readme_shows_is_there():
    text = README.read_text()
    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    shown = text.partition(BEGIN)[2].partition(END)[0]
    for path in re.findall(r'(?:src|srcset)="([^"]+)"|\]\(([^)]+)\)', shown):
        assert (README.parent / "".join(path)).is_file()
