"""The page in a browser, as a reader has it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from fswatch_builder.research.builds.campaign import Difference
from fswatch_builder.research.builds.document import build_document
from fswatch_builder.research.builds.rows import BuildPlan
from fswatch_builder.research.machine import describe
from fswatch_builder.research.peers.peer import Absent
from fswatch_builder.research.report.page import page
from tests.support.cli import fswatch_builder
from tests.unit.research.test_builds import OURS, PEER, run

Scheme = Literal["light", "dark"]

CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run of each, as short as they come: what it looks like does not depend on the figures."""
    place = tmp_path_factory.mktemp("report")
    out = place / "report.html"
    fswatch_builder(
        "bench",
        "--corpus=wide-100",
        "--workload=disguised",
        "--workload=one-file",
        "--strategy=scan,scan-hash,scan-time",
        "--repeat=2",
        f"--json={place}/bench.json",
        f"--directory={place}",
    )
    fswatch_builder("limits", "coalescing", "clock", "shared", "--repeat=1", f"--out={place}/limits")
    fswatch_builder("report", f"{place}/bench.json", f"{place}/limits", "-o", str(out))
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, report: Path, scheme: Scheme = "light") -> tuple[Page, list[str]]:
    """The page, drawn, and everything it complained of or asked a network for."""
    page = browser.new_context(color_scheme=scheme).new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    page.goto(report.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawn")
    return page, complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_plot_is_drawn_without_a_complaint_and_without_a_network(
    browser: Browser, report: Path, scheme: Scheme
) -> None:
    page, complaints = opened(browser, report, scheme)
    drawn = page.locator(".chart svg.marks")
    assert drawn.count() == page.locator(".chart").count() == 4
    assert all(box is not None and box["width"] > 200 for box in (each.bounding_box() for each in drawn.all()))
    assert complaints == []


def test_dark_and_light_are_not_the_same(browser: Browser, report: Path) -> None:
    def background(scheme: Scheme) -> str:
        page, _ = opened(browser, report, scheme)
        color = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert isinstance(color, str)
        return color

    assert background("dark") != background("light")


def test_a_click_on_the_legend_filters(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report)
    chart = page.locator(".chart").first
    bars = chart.locator("g.mark-rect.role-mark path")
    assert set(bars.evaluate_all("all => all.map(it => it.getAttribute('opacity') ?? '1')")) == {"1"}
    chart.locator("g.role-legend-label text", has_text="scan-hash").click()
    faded = bars.evaluate_all("all => all.filter(it => it.getAttribute('opacity') === '0.12').length")
    assert faded == bars.count() * 2 // 3


def test_a_click_on_a_heading_sorts_by_what_it_says(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report)
    table = page.locator("section:has(h2#tree-0-0) table").first

    def costs() -> list[float]:
        return [float(text.replace(",", "")) for text in table.locator("tbody tr td:nth-child(2)").all_inner_texts()]

    heading = table.locator("thead th:nth-child(2) button")
    heading.click()
    assert costs() == sorted(costs())
    heading.click()
    assert costs() == sorted(costs(), reverse=True)
    assert table.locator("thead th:nth-child(2)").get_attribute("aria-sort") == "descending"


def test_what_was_missed_is_said_as_loudly_as_what_was_won(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report)
    assert page.locator("td.bad").count() >= 1
    assert "missed changes" in page.locator(".chart").first.inner_text()


def test_it_prints_with_all_its_plots(browser: Browser, report: Path) -> None:
    page, complaints = opened(browser, report)
    assert page.pdf()[:5] == b"%PDF-"
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert complaints == []


def test_it_prints_dark_on_light_and_whole_whatever_the_screen_is(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report, "dark")
    page.set_viewport_size({"width": 720, "height": 1000})  # a sheet of A4 between its margins
    page.emulate_media(media="print")
    inks = page.evaluate(
        """['body', '.chart svg text'].map(of => {
            const style = getComputedStyle(document.querySelector(of));
            return of === 'body' ? style.color : style.fill;
        })"""
    )
    assert inks == ["rgb(29, 35, 39)"] * 2
    sizes = page.locator("section:has(h2#tree-0-0) table").first.bounding_box()
    assert sizes is not None
    assert sizes["x"] + sizes["width"] <= 720


def test_builds_of_a_dockerfile_have_a_plot_a_table_and_their_differences(browser: Browser, tmp_path: Path) -> None:
    plan = BuildPlan(".", "sha256:0", (*OURS, PEER), (Absent("kaniko full", "not on PATH"),), 3, 1, describe("/tmp"))
    found = build_document(
        plan, run(), [Difference("buildah", ("/dev: deleted", "/<b>: added"))], taken="2026-01-01", command="bench ."
    )
    out = tmp_path / "builds.html"
    out.write_bytes(page([], [], [found]))
    shown, complaints = opened(browser, out)
    bars = shown.locator(".chart g.mark-rect.role-mark path")
    assert bars.count() == 8  # whole builds, and a RUN of them
    shown.locator("g.role-legend-label text", has_text="peer").click()
    assert bars.evaluate_all("all => all.filter(it => it.getAttribute('opacity') === '0.12').length") == 6
    assert shown.locator("tr.best").inner_text().startswith("inotify")
    shown.locator("summary", has_text="From the image of buildah to ours").click()
    assert shown.locator("li").all_inner_texts() == ["/dev: deleted", "/<b>: added"]
    assert "kaniko full is absent: not on PATH" in shown.inner_text("body")
    assert complaints == []


@pytest.mark.parametrize("arguments", [["missing.json"], ["."]])
def test_what_is_no_result_is_told(tmp_path: Path, arguments: list[str]) -> None:
    done = fswatch_builder("report", *arguments, check=False, cwd=str(tmp_path))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
