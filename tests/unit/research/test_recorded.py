"""The figure that is recorded for the README, and its place there."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.recorded import costs
from benchmarks.recorded.figure import finding_out, write_figures
from benchmarks.recorded.readme import BEGIN, END, show
from benchmarks.recorded.suite import PARTS, check
from fswatch_builder.errors import UsageError
from fswatch_builder.research.bench.document import Document, document
from fswatch_builder.research.bench.engine import rows
from fswatch_builder.research.bench.rows import Plan, Tree
from fswatch_builder.research.bench.schedule import turns
from fswatch_builder.research.machine import describe
from fswatch_builder.research.results import read
from tests.unit.research.test_bench_engine import KNOWN, STRATEGIES

README = Path(__file__).parents[3] / "README.md"
SIZES = {"wide-1k": 1_101, "wide-10k": 11_011, "site-packages-1k": 1_300}


@pytest.fixture
def found(tmp_path: Path) -> Document:
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


def test_it_shows_what_finding_out_costs_of_one_file_by_the_size_of_the_tree(found: Document) -> None:
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


def test_it_is_drawn_for_both_colour_schemes(found: Document) -> None:
    files = write_figures("name", finding_out(found))
    assert sorted(files) == ["name-dark.png", "name-dark.svg", "name-light.png", "name-light.svg"]
    assert all(files[f"name-{scheme}.png"].startswith(b"\x89PNG") for scheme in ("light", "dark"))
    light, dark = (files[f"name-{scheme}.svg"].decode() for scheme in ("light", "dark"))
    assert all("scan-time (kaniko time)" in svg and "Finding out what a RUN changed" in svg for svg in (light, dark))
    assert light != dark
    assert "http://" not in light.replace("http://www.w3.org/", "")


def test_the_readme_has_one_place_for_it_and_the_last_one_stands_there(tmp_path: Path, found: Document) -> None:
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


def test_what_the_readme_shows_is_there() -> None:
    text = README.read_text()
    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    shown = text.partition(BEGIN)[2].partition(END)[0]
    for path in re.findall(r'(?:src|srcset)="([^"]+)"|\]\(([^)]+)\)', shown):
        assert (README.parent / "".join(path)).is_file()


def test_what_is_recorded_is_of_the_version_that_is_read() -> None:
    recorded = sorted((README.parent / "benchmarks" / "results").glob("bench-*.json"))
    found = read([str(path) for path in recorded])
    assert len(found.benches) + len(found.builds) == len(recorded) >= 2


def test_the_table_of_costs_in_the_readme_is_that_of_the_recorded_figures(tmp_path: Path) -> None:
    shown = tmp_path / "README.md"
    shown.write_text(README.read_text())
    costs.show(str(shown), str(README.parent / "benchmarks" / "results" / "tmpfs.json"))
    assert shown.read_text() == README.read_text()


def test_known_figures_give_the_known_table_of_costs() -> None:
    def row(peer: str, files: int, step_ms: float) -> dict[str, str | int | float]:
        return {"peer": peer, "files": files, "step_ms": step_ms, "peak_mib": 10.4}

    document = {
        "taken": "2026-01-01",
        "machine": {"cores": "2", "kernel": "6.1", "file_system": "tmpfs"},
        "peers": {"buildah": "buildah version 1.28.2 (x)", "BuildKit (dockerd)": "Docker version 20.10.24, build 5"},
        "extra_run": [
            row("BuildKit (dockerd)", 10, 30.0),
            row("BuildKit (dockerd)", 100, 1_234.5),
            row("buildah", 10, 20.0),  # the larger one failed
            row("fswatch-builder scan --hash all", 10, 2.0),
            row("fswatch-builder scan --hash all", 100, 9.0),
            row("fswatch-builder auto", 10, 3.4),
            row("fswatch-builder auto", 100, 3.6),
        ],
    }
    assert costs.table(document).splitlines() == [
        "| | 10 files | 100 files | peak memory at 100 |",
        "|---|---|---|---|",
        "| **fswatch-builder, `--tracker auto`** | 3 ms | 4 ms | 10 MiB |",
        "| fswatch-builder, `--tracker scan --hash all` | 2 ms | 9 ms | 10 MiB |",
        "| BuildKit (dockerd 20.10) | 30 ms | 1,234 ms | in the daemon |",
        "",
        "Taken 2026-01-01 (2 cores, Linux 6.1, tmpfs; [figures](benchmarks/results/tmpfs.json)).",
    ]


def test_what_is_recorded_has_workloads_that_work_on_its_trees() -> None:
    from fswatch_builder.research.corpora.registry import chosen
    from fswatch_builder.research.workloads.registry import workloads

    for part in PARTS.values():
        for name in part.workloads:
            assert any(workloads()[name].fits(chosen(corpus).kind) for corpus in part.corpora)
            assert not part.peers or workloads()[name].programs is not None


@pytest.mark.root
def test_what_is_to_be_cold_is_not_measured_in_memory() -> None:
    with pytest.raises(UsageError, match="ever cold"):
        check(PARTS["cold"], "/dev/shm")
