"""The step cache: what hits, what misses, and that a hit costs no root file system."""

import os
from pathlib import Path

import pytest

from fswatch_builder.errors import RunError
from tests.support.builds import Workshop, args

pytestmark = pytest.mark.root

TEXT = "FROM base AS a\nRUN echo 1 >/f\nFROM base\nCOPY --from=a /f /g\nWORKDIR /w\nRUN true\nRUN echo 2 >h\n"


def test_a_second_build_runs_nothing_and_gives_the_same_image(workshop: Workshop) -> None:
    first = workshop.build(TEXT)
    second = workshop.build(TEXT)
    assert first.recorder.statuses() == ["done"] * 5
    assert second.recorder.statuses() == ["cached"] * 5
    assert first.built.manifest == second.built.manifest


def test_a_fully_cached_build_makes_no_workspace(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    from fswatch_builder.build.worksite import Worksite

    workshop.build(TEXT)

    def refuse(*_: object) -> None:
        raise AssertionError("a root file system was asked for")

    monkeypatch.setattr(Worksite, "bring_to", refuse)
    assert workshop.build(TEXT).recorder.statuses() == ["cached"] * 5


def test_no_cache_does_everything_again(workshop: Workshop) -> None:
    workshop.build(TEXT)
    assert workshop.build(TEXT, use_cache=False).recorder.statuses() == ["done"] * 5


def test_h10_touching_a_context_file_still_hits_and_changing_it_misses(workshop: Workshop) -> None:
    text = "FROM base\nCOPY f /f\nRUN cat /f\n"
    path = workshop.write("f", "1")
    workshop.build(text)
    os.utime(path, (1, 1))
    assert workshop.build(text).recorder.statuses() == ["cached", "cached"]
    workshop.write("f", "2")
    assert workshop.build(text).recorder.printed() == "2"


def test_h7_a_renamed_file_under_a_wildcard_misses(workshop: Workshop) -> None:
    path = workshop.write("a.txt")
    workshop.build("FROM scratch\nCOPY *.txt /d/\n")
    path.rename(workshop.context / "b.txt")
    assert workshop.build("FROM scratch\nCOPY *.txt /d/\n").names() == [["d", "d/b.txt"]]


def test_h2_a_copy_from_a_stage_is_keyed_on_content_and_not_on_how_it_came(workshop: Workshop) -> None:
    text = "FROM base AS a\nARG V\nRUN echo $V >/version; echo same >/f\nFROM base\nCOPY --from=a /f /g\n"
    workshop.build(text, build_args=args(V="1"))
    assert workshop.build(text, build_args=args(V="2")).recorder.statuses() == ["done", "cached"]
    text = text.replace("echo same >/f", "echo $V >/f; touch -d '2001-01-01 00:00:00' /f")
    workshop.build(text, build_args=args(V="3"))
    last = workshop.build(text, build_args=args(V="4"))
    assert last.text(last.layers[0], "g") == "4\n"


def test_a_step_that_hits_again_after_a_miss_lies_under_the_next_run(workshop: Workshop) -> None:
    workshop.write("f", "f")
    rest = "RUN true\nCOPY f /f\n"
    workshop.build(f"FROM base\nRUN echo 1 >/a\n{rest}")
    text = f"FROM base\nRUN echo 1 >/a\n{rest.replace('true', ':')}RUN cat /a /f >/g\n"
    result = workshop.build(text)
    assert result.recorder.statuses() == ["cached", "done", "cached", "done"]
    assert result.names()[-1] == ["g"]


def test_c5_a_removal_from_the_cache_leaves_no_marker_to_copy(workshop: Workshop) -> None:
    text = "FROM base AS a\nRUN mkdir /d && echo 1 >/d/f && echo 2 >/d/g\nRUN rm /d/f\nFROM scratch\n"
    workshop.build(text + "COPY --from=a /d /d\n")
    result = workshop.build(text + "COPY --from=a /d /e\n")
    assert result.recorder.statuses() == ["cached", "cached", "done"]
    assert result.names() == [["e", "e/g"]]


def test_c6_what_replaced_a_link_comes_back_from_the_cache(workshop: Workshop) -> None:
    text = (
        "FROM base\nRUN mkdir /target && echo 1 >/target/f && ln -s /target /link\n"
        "RUN rm -r /target /link && mkdir /link && echo 2 >/link/g\n"
    )
    workshop.build(text)
    result = workshop.build(text + "RUN echo /targe* /link/*\n")
    assert result.recorder.statuses() == ["cached", "cached", "done"]
    assert result.recorder.printed() == "/targe* /link/g\n"


def test_h14_a_failed_step_is_not_cached(workshop: Workshop) -> None:
    text = "FROM base\nRUN echo once; exit 3\n"
    for _ in range(2):
        with pytest.raises(RunError) as caught:
            workshop.build(text)
        assert (caught.value.code, caught.value.tail) == (3, "once\n")


def test_a_lossy_mode_leaves_nothing_in_the_cache(workshop: Workshop) -> None:
    text = "FROM base\nRUN echo 1 >/f\n"
    workshop.build(text, hash_mode="none")
    assert workshop.build(text).recorder.statuses() == ["done"]


def test_another_epoch_misses(workshop: Workshop) -> None:
    text = "FROM base\nRUN echo 1 >/f\n"
    workshop.build(text, build_args=args(SOURCE_DATE_EPOCH="1"))
    assert workshop.build(text, build_args=args(SOURCE_DATE_EPOCH="2")).recorder.statuses() == ["done"]


def test_no_workspace_is_left_behind(workshop: Workshop) -> None:
    workshop.build(TEXT)
    with pytest.raises(RunError):
        workshop.build("FROM base\nRUN false\n")
    left = [name for name in os.listdir(workshop.store / "work") if not name.startswith(".")]
    assert left == []


def test_layers_of_two_stores_do_not_mix(workshop: Workshop, tmp_path: Path) -> None:
    workshop.build(TEXT)
    assert workshop.build(TEXT, store=tmp_path / "other").recorder.statuses() == ["done"] * 5
