"""What bench makes of builds of a Dockerfile: fake ones, of which everything is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from fswatch_builder.errors import BuildError
from fswatch_builder.research.bench.verdict import Outcome
from fswatch_builder.research.builds.campaign import Difference, rows, turns
from fswatch_builder.research.builds.document import BuildDocument, build_document
from fswatch_builder.research.builds.rows import Build, BuildPlan, BuildRow, Contestant, Run
from fswatch_builder.research.machine import describe
from fswatch_builder.research.peers.measuring import Line, OutOfTimeError
from fswatch_builder.research.peers.own_log import told
from fswatch_builder.research.peers.peer import Absent

OURS = (
    Contestant("inotify", "watching", "1", ""),
    Contestant("scan", "scanning", "1", ""),
    Contestant("scan-hash", "scanning", "1", ""),
)
PEER = Contestant("buildah", "peer", "2", "")


def made(command: float, find: float, *, differs: tuple[str, ...] = ()) -> Build:
    """Two RUNs alike; the whole takes a second more."""
    run = Run(command + find, command, find, 0.0)
    return Build(2 * (command + find) + 1, 0.5, 1 << 20, 0.25, (run, run), ("sha256:a",), differs)


KNOWN = {
    "inotify": made(1.5, 0.5),
    "scan": made(1.0, 3.0),
    "scan-hash": made(1.0, 7.0),
    "buildah": replace(made(9.0, 0.0), layers=None, differs=None, runs=(Run(9.0), Run(9.0)), once_s=None),
}


@pytest.fixture
def plan(tmp_path: Path) -> BuildPlan:
    return BuildPlan(
        ".", "sha256:0", (*OURS, PEER), (Absent("kaniko full", "not on PATH"),), 3, 1, describe(str(tmp_path))
    )


def run(known: Mapping[str, Build] = KNOWN, repeat: int = 3) -> list[BuildRow]:
    builders = {name: lambda name=name: known[name] for name in known}
    return list(rows(builders, turns(list(known), repeat, 1), lambda: 0.0))


def document(plan: BuildPlan, done: Sequence[BuildRow], differences: Sequence[Difference] = ()) -> BuildDocument:
    return build_document(plan, done, differences, taken="2026-01-01T00:00:00+00:00", command="fswatch-builder bench .")


def test_every_builder_builds_once_in_each_repetition_in_an_order_drawn_anew() -> None:
    names = list(KNOWN)
    drawn = list(turns(names, 20, 1))
    orders = {tuple(name for name, at in drawn if at == number) for number in range(20)}
    assert len(orders) > 5
    assert all(sorted(order) == sorted(names) for order in orders)
    assert drawn == list(turns(names, 20, 1))


def test_known_builds_give_the_known_table_and_sentence(plan: BuildPlan) -> None:
    found = document(plan, run())
    assert [it.contestant.name for it in found.contest.summaries] == ["inotify", "scan", "scan-hash", "buildah"]
    inotify, scan, _, buildah = found.contest.summaries
    assert (inotify.builds, inotify.whole.median, inotify.peak_rss, inotify.differs) == (3, 5.0, 1 << 20, 0)
    figures = (inotify.run, inotify.command, inotify.find, inotify.once, scan.find)
    assert [None if it is None else it.median for it in figures] == [2.0, 1.5, 0.5, 0.25, 3.0]
    assert (buildah.run and buildah.run.median, buildah.find, buildah.differs) == (9.0, None, None)
    assert found.sentence == (
        "watching saves 2.0 s of 4.0 s a RUN here, and a build takes 5.0 s with inotify, 9.0 s with scan; use inotify"
    )


def test_watching_loses_as_loudly(plan: BuildPlan) -> None:
    assert document(plan, run({**KNOWN, "inotify": made(5.0, 0.5)})).sentence == (
        "watching costs 1.5 s a RUN more than scanning here, and a build takes 12.0 s with inotify, 9.0 s with scan; "
        "use scan"
    )


def beginning(command: float, find: float, begins: float, tracker: str) -> Build:
    """Two RUNs alike after a beginning; half a second is the program's own."""
    run = Run(command + find, command, find, 0.0, tracker=tracker)
    whole = 2 * (command + find) + begins + 0.5
    return Build(whole, 0.5, 1 << 20, begins, (run, run), ("sha256:a",), ())


FANOTIFY, AUTO = Contestant("fanotify", "watching", "1", ""), Contestant("auto", "choosing", "1", "")
OVERLAY = Contestant("overlay", "watching", "1", "")
SLOW_TO_BEGIN = {
    "fanotify": beginning(0.001, 0.001, 19.0, "fanotify"),
    "overlay": beginning(0.001, 0.002, 0.125, "overlay"),
    "scan": beginning(0.001, 0.05, 0.125, "scan"),
}


def of(plan: BuildPlan, known: Mapping[str, Build]) -> BuildDocument:
    kinds = {it.name: it for it in (*OURS, FANOTIFY, OVERLAY, AUTO)}
    return document(replace(plan, contestants=tuple(kinds[name] for name in known), absent=()), run(known))


def test_one_whose_runs_are_the_fastest_is_not_to_be_used_if_it_takes_longer_to_begin_than_it_saves(
    plan: BuildPlan,
) -> None:
    """fanotify on a base that is kept: it unpacks for each build. (19 - 0.125 - 0.002) / 0.001 RUNs more, and two."""
    assert of(plan, {**SLOW_TO_BEGIN, "auto": SLOW_TO_BEGIN["overlay"]}).sentence == (
        "watching saves 48 ms of 51 ms a RUN here, and a build takes 631 ms with overlay, 727 ms with scan; use "
        "overlay, as auto does; from 18,875 RUNs a build on fanotify would take less: it needs 19.0 s to begin a "
        "build, overlay 125 ms"
    )


def test_watching_that_saves_in_each_run_and_loses_it_in_the_build_is_said_to_lose(plan: BuildPlan) -> None:
    found = of(plan, {name: SLOW_TO_BEGIN[name] for name in ("fanotify", "scan")})
    assert found.verdict is not None
    assert found.verdict.outcome is Outcome.SCANNING
    assert found.sentence == (
        "watching saves 49 ms of 51 ms a RUN here, but a build takes 19.5 s with fanotify, 727 ms with scan; use scan; "
        "from 386 RUNs a build on fanotify would take less: it needs 19.0 s to begin a build, scan 125 ms"
    )


def test_a_choice_of_auto_that_is_not_the_best_here_is_said_with_what_it_costs(plan: BuildPlan) -> None:
    found = of(plan, {**SLOW_TO_BEGIN, "auto": SLOW_TO_BEGIN["scan"]})
    assert "; use overlay (auto takes scan, and a build takes 96 ms longer); from" in found.sentence


def test_a_choice_that_is_another_one_and_as_good_is_said_to_be(plan: BuildPlan) -> None:
    known = {name: SLOW_TO_BEGIN[name] for name in ("overlay", "scan")}
    inotify = beginning(0.001, 0.002, 0.125, "inotify")
    assert (
        "; use overlay (auto takes inotify, and a build takes as long)" in of(plan, {**known, "auto": inotify}).sentence
    )


def test_where_builds_cannot_be_told_apart_a_run_decides(plan: BuildPlan) -> None:
    """What a build does once takes now longer, now shorter."""
    begins = {"inotify": (1.0, 5.0, 3.0), "scan": (3.0, 1.0, 5.0)}
    finds = {"inotify": 0.25, "scan": 0.5}
    done = [
        BuildRow(name, at, 0.0, beginning(1.0, finds[name], begins[name][at], name))
        for at in range(3)
        for name in finds
    ]
    assert document(plan, done).sentence == (
        "watching saves 250 ms of 1.5 s a RUN here, and a build takes as long; use inotify"
    )


def test_builds_of_one_repetition_are_compared_with_each_other(plan: BuildPlan) -> None:
    """The machine is ten times as slow in the second: intervals overlap, differences do not."""
    done = [
        BuildRow(name, at, 0.0, made(command * (10 if at == 1 else 1), find))
        for at in range(3)
        for name, command, find in (("inotify", 1.0, 0.25), ("scan", 1.0, 0.5))
    ]
    found = document(plan, done)
    assert found.verdict is not None
    saves = found.verdict.run.saves
    assert (found.verdict.outcome, saves.low, saves.high) == (Outcome.WATCHING, 0.25, 0.25)


def test_what_commands_hide_is_said_to_be_hidden_and_finding_out_decides(plan: BuildPlan) -> None:
    commands = {"inotify": (1.0, 4.0, 2.0), "scan": (2.0, 1.0, 4.0)}
    finds = {"inotify": 0.002, "scan": 0.25}
    done = [BuildRow(name, at, 0.0, made(commands[name][at], finds[name])) for at in range(3) for name in commands]
    found = document(plan, done)
    assert found.sentence == (
        "a RUN takes as long with scanning here, within what was measured (finding out takes 2.0 ms with inotify, "
        "250 ms with scan), and a build takes as long; use inotify"
    )


def test_who_makes_another_image_cannot_win(plan: BuildPlan) -> None:
    found = document(plan, run({**KNOWN, "inotify": made(1.0, 0.0, differs=("/a: added", "/b: deleted"))}))
    assert found.verdict is None
    assert found.contest.summaries[0].differs == 2
    assert found.sentence.startswith("no answer: images differ")


def test_what_the_hashing_scan_makes_anew_each_time_counts_against_nobody(plan: BuildPlan) -> None:
    varies = ("/date: modified content",)
    known = {name: replace(build, differs=varies) for name, build in KNOWN.items() if name != "buildah"}
    known["inotify"] = replace(known["inotify"], differs=(*varies, "/lost: added"))
    found = document(plan, run(known))
    assert found.contest.varying == ("/date",)
    assert {it.contestant.name: it.differs for it in found.contest.summaries} == {
        "inotify": 1,
        "scan": 0,
        "scan-hash": 0,
    }


def test_without_a_run_there_is_nothing_to_watch_for(plan: BuildPlan) -> None:
    known = {one.name: replace(KNOWN[one.name], runs=()) for one in OURS}
    assert document(plan, run(known)).sentence == "there is no RUN here, so nothing to watch for"


def test_one_that_fails_is_a_row_that_says_so_and_is_not_tried_again(plan: BuildPlan) -> None:
    tried: list[int] = []

    def fails() -> Build:
        tried.append(1)
        raise BuildError("not this one")

    builders = {"inotify": lambda: KNOWN["inotify"], "buildah": fails}
    done = list(rows(builders, turns(list(builders), 3, 1), lambda: 0.0))
    assert (len(done), len(tried)) == (6, 1)
    assert [(it.builder, it.problem) for it in document(plan, done).contest.failures] == [("buildah", "not this one")]


def test_time_that_is_up_is_no_failure_of_the_builder() -> None:
    def late() -> Build:
        raise OutOfTimeError("late")

    with pytest.raises(OutOfTimeError):
        list(rows({"inotify": late}, turns(["inotify"], 1, 1), lambda: 0.0))


def test_a_run_that_was_interrupted_goes_on_with_what_is_missing() -> None:
    whole = run()
    builders = {name: lambda name=name: KNOWN[name] for name in KNOWN}
    rest = list(rows(builders, turns(list(KNOWN), 3, 1), lambda: 0.0, whole[:5]))
    assert rest == whole[5:]


def test_a_document_is_read_as_it_was_written(plan: BuildPlan, tmp_path: Path) -> None:
    import msgspec

    from fswatch_builder.research.results import read

    found = document(plan, run(), [Difference("buildah", ("/a: added",))])
    (tmp_path / "builds.json").write_bytes(msgspec.json.encode(found))
    assert read([str(tmp_path)]).builds == (found,)


LOG = """\
{"event": "StepStarted", "number": 1, "stage": "stage-0", "position": 1, "total": 2, "title": "FROM b", "where": null}
{"event": "StepFinished", "number": 1, "status": "done", "seconds": 0.5, "report": null}
{"event": "StepStarted", "number": 2, "stage": "stage-0", "position": 2, "total": 2, "title": "RUN x", "where": null}
{"event": "StepOutput", "number": 2, "stream": "stdout", "data": "{\\"event\\": 1}", "seconds": 0.1}
{"event": "StepFinished", "number": 2, "status": "done", "seconds": 9.0, "report": {"tracker": "scan", "hints": 1, \
"losses": [["vanished", "a"]], "entries": 1, "size": 10, "stored": 5, "diff_id": "sha256:d", "costs": {"arm": 1.0, \
"work": 2.0, "settle": 0.25, "compare": 0.25, "pack": 0.5, "advance": 0.5}}}
{"event": "ImageStored", "manifest": "sha256:m", "config": "c", "layers": 1, "size": 5, "names": [], "layout": "", \
"platform": "linux/amd64"}
ERROR: something else
"""


def test_what_a_build_tells_of_itself_is_read() -> None:
    found = told(Line(0.0, line) for line in LOG.replace("\\\n", "").splitlines())
    (step,) = found.steps
    costs = step.report.costs
    assert costs is not None
    assert (step.is_run, costs.again, costs.find, step.once) == (True, 3.5, 0.5, 5.5)
    assert (found.manifest, found.said) == ("sha256:m", ("ERROR: something else",))


def test_what_one_build_of_each_says_is_said_to_be_no_more_than_that(plan: BuildPlan) -> None:
    assert document(plan, run(repeat=1)).sentence.endswith(
        "; use inotify (by one build of each, so that chance may have decided)"
    )
