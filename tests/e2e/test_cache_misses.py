"""Every step that is done says why it was not in the cache, by the input that changed (X4)."""

import os
import shutil
from pathlib import Path
from typing import Unpack

import pytest

from fswatch_builder.errors import RunError
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.keeping.prune import Wish, prune
from fswatch_builder.oci.store import Store
from tests.support.builds import How, Workshop, args
from tests.support.cli import fswatch_builder
from tests.support.processes import building, until
from tests.support.web import Repository, web_server

pytestmark = pytest.mark.root

UNKNOWN = ("no earlier build of it is recorded here",)
BELOW = ("the step before it changed",)


def missed(workshop: Workshop, text: str, **how: Unpack[How]) -> list[tuple[str, ...]]:
    return workshop.build(text, **how).recorder.missed()


def test_a_first_build_says_so_and_a_second_has_nothing_to_say(workshop: Workshop) -> None:
    text = "FROM base\nWORKDIR /w\nRUN echo 1 >f\n"
    assert missed(workshop, text) == [UNKNOWN, UNKNOWN]
    assert missed(workshop, text) == []


def test_one_changed_input_and_what_follows_from_it(workshop: Workshop) -> None:
    workshop.write("f", "1")
    text = "FROM base\nRUN echo 1 >/a\nCOPY f /f\nRUN cat /f\nRUN echo 2 >/b\n"
    missed(workshop, text)
    workshop.write("f", "2")
    assert missed(workshop, text) == [("files: f: content",), BELOW, BELOW]
    assert missed(workshop, text.replace("cat /f", "cat /f /a")) == [("the instruction was: RUN cat /f",)]


def test_files_of_a_copy_one_by_one_and_then_their_number(workshop: Workshop) -> None:
    for name in "abcdefgh":
        workshop.write(f"d/{name}", "1")
    (workshop.context / "d/link").symlink_to("a")
    text = "FROM scratch\nCOPY d /d\n"
    missed(workshop, text)
    workshop.write("d/a", "2")
    (workshop.context / "d/b").chmod(0o755)
    (workshop.context / "d/c").unlink()
    os.setxattr(workshop.context / "d/e", "user.x", b"1")
    (workshop.context / "d/link").unlink()
    (workshop.context / "d/link").symlink_to("b")
    for name in "xy":
        workshop.write(f"d/{name}", "1")
    assert missed(workshop, text) == [
        (
            "files: d/a: content",
            "files: d/b: mode",
            "files: d/c: removed",
            "files: d/e: extended attributes",
            "files: d/link: target",
            "files: and 2 more",
        )
    ]


def test_names_and_lines_that_are_no_text(workshop: Workshop) -> None:
    """They can be neither in a format of text nor on a terminal."""
    name = os.fsdecode(os.path.join(os.fsencode(workshop.context), b"d/\xff\x1b[31m"))
    os.mkdir(workshop.context / "d")
    command = ["build", "--store", str(workshop.store), "--build-context", f"base={workshop.base}"]
    for number in (1, 2):
        with open(name, "w", encoding="utf-8") as file:
            file.write(str(number))
        line = b"RUN --mount=target=/\xff,source=d echo \xff # %d\n" % number
        (workshop.context / "Dockerfile").write_bytes(b"FROM base\nARG V\nCOPY d /d\n" + line)
        for kind in ("plain", "rawjson"):
            done = fswatch_builder(
                *command, "--progress", kind, "--build-arg", f"V=\udcff{number}{kind}", str(workshop.context)
            )
            if number == 2 and kind == "plain":
                assert "not cached: files: d/" in done.stderr
                assert "the variable V changed" in done.stderr
                assert "\x1b" not in done.stderr


def test_an_owner_that_counts(workshop: Workshop) -> None:
    text = "FROM base AS a\nARG U\nRUN echo 1 >/f; chown $U /f\nFROM base\nCOPY --from=a /f /g\n"
    missed(workshop, text, build_args=args(U="1"))
    assert missed(workshop, text, build_args=args(U="2")) == [("the variable U changed",), ("files: f: owner",)]


def test_what_a_mount_brings_along(workshop: Workshop) -> None:
    workshop.write("src/f", "1")
    text = "FROM base\nRUN --mount=target=/m,source=src cat /m/f\n"
    missed(workshop, text)
    workshop.write("src/f", "2")
    assert missed(workshop, text) == [("files of the mount /m: src/f: content",)]


def test_another_base(workshop: Workshop, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(workshop.base, other, symlinks=True)
    text = "FROM base\nRUN echo 1 >/f\nRUN true\n"
    missed(workshop, text)
    (other / "new").write_text("1")
    contexts = {"base": str(other), "named": str(other)}
    assert missed(workshop, text, contexts=contexts) == [("the base base is another image now",), BELOW]
    (other / "new").write_text("2")
    assert missed(workshop, text.replace("FROM base", "FROM named"), contexts=contexts) == [
        ("the stage began with base",),
        BELOW,
    ]


def test_a_stage_that_another_begins_with(workshop: Workshop) -> None:
    text = "FROM base AS a\nRUN echo 1 >/f\nFROM a\nRUN echo 2 >/g\n"
    missed(workshop, text)
    assert missed(workshop, text.replace("echo 1", "echo 3")) == [
        ("the instruction was: RUN echo 1 >/f",),
        ("the stage a, which it begins with, changed",),
    ]


def test_what_is_asked_for_goes_before_what_changed(workshop: Workshop) -> None:
    text = "FROM base AS a\nRUN echo 1 >/f\nFROM base\nCOPY --from=a /f /g\n"
    missed(workshop, text)
    assert missed(workshop, text, use_cache=False) == [("--no-cache",), ("--no-cache",)]
    assert missed(workshop, text, uncached_stages=frozenset({"a"})) == [("--no-cache-filter a",)]


def test_each_platform_has_a_story_of_its_own(workshop: Workshop) -> None:
    workshop.write("f", "1")
    text = "FROM scratch\nARG TARGETARCH\nCOPY f /$TARGETARCH\n"
    amd64, arm64 = Platform("linux", "amd64"), Platform("linux", "arm64")
    missed(workshop, text, platforms=(amd64,))
    assert missed(workshop, text, platforms=(arm64,)) == [UNKNOWN]
    workshop.write("f", "2")
    for platform in (amd64, arm64):
        assert missed(workshop, text, platforms=(platform,)) == [("files: f: content",)]


def test_stages_of_one_name_are_held_against_themselves(workshop: Workshop) -> None:
    text = "FROM base AS a\nRUN echo 1 >/f\nFROM a AS a\nRUN echo 2 >/g\n"
    missed(workshop, text)
    assert missed(workshop, text.replace("echo 2", "echo 3")) == [("the instruction was: RUN echo 2 >/g",)]


def test_an_epoch(workshop: Workshop) -> None:
    workshop.write("f")
    text = "FROM scratch\nCOPY f /f\n"
    missed(workshop, text)
    assert missed(workshop, text, build_args=args(SOURCE_DATE_EPOCH="1")) == [("SOURCE_DATE_EPOCH changed",)]


def test_a_layer_that_was_removed(workshop: Workshop) -> None:
    workshop.write("f")
    text = "FROM scratch\nCOPY f /f\n"
    missed(workshop, text)
    with Store.open(str(workshop.store)) as store:
        prune(store, Wish())
    assert missed(workshop, text) == [("its result is not in the store any more",)]


def test_prune_all_takes_the_stories_too(workshop: Workshop) -> None:
    workshop.write("f")
    text = "FROM scratch\nCOPY f /f\n"
    missed(workshop, text)
    with Store.open(str(workshop.store)) as store:
        prune(store, Wish(images=True))
        assert store.state.rows("SELECT * FROM notes") == []
    assert missed(workshop, text) == [UNKNOWN]


def test_a_store_without_stories_hits_as_ever(workshop: Workshop) -> None:
    """As one that an earlier version made."""
    workshop.write("f")
    text = "FROM scratch\nCOPY f /f\n"
    missed(workshop, text)
    with Store.open(str(workshop.store)) as store:
        store.state.change("DELETE FROM notes")
    assert workshop.build(text).recorder.statuses() == ["cached"]
    workshop.write("f", "2")
    assert missed(workshop, text) == [("files: f: content",)]


def test_a_build_that_fails_keeps_what_it_found_out(workshop: Workshop) -> None:
    workshop.write("f", "1")
    text = "FROM base\nCOPY f /f\nRUN grep -q 3 /f\nRUN echo end >/end\n"
    with pytest.raises(RunError):
        workshop.build(text)
    workshop.write("f", "3")
    assert missed(workshop, text)[0] == ("files: f: content",)
    workshop.write("f", "2")
    with pytest.raises(RunError):
        workshop.build(text)
    workshop.write("f", "33")
    assert missed(workshop, text) == [("files: f: content",), BELOW, BELOW]


def test_a_build_that_is_killed_leaves_the_reasons_of_the_one_before(workshop: Workshop) -> None:
    workshop.write("f", "1")
    text = "FROM base\nCOPY f /f\nRUN if grep -q 2 /f && test -p /c/gate; then cat /c/gate; fi\n"
    text = text.replace("RUN ", "RUN --mount=type=cache,target=/c ")
    workshop.build("FROM base\nRUN --mount=type=cache,target=/c mkfifo /c/gate\n")
    missed(workshop, text)
    workshop.write("f", "2")
    with building(workshop, "Dockerfile", text) as process:
        until(process, "not cached: the step before it changed")
        process.kill()
        process.wait()
    (gate,) = (workshop.store / "kept/mount").glob("*/gate")
    gate.unlink()
    found = workshop.build(text).recorder
    assert (found.statuses(), found.missed()) == (["cached", "done"], [BELOW])
    workshop.write("f", "3")
    assert missed(workshop, text) == [("files: f: content",), BELOW]


def test_a_file_of_the_web(workshop: Workshop, tmp_path: Path) -> None:
    with web_server(tmp_path) as web:
        url = web.put("/f", "1")
        text = f"FROM scratch\nADD {url} /f\n"
        missed(workshop, text)
        web.put("/f", "2")
        assert missed(workshop, text) == [(f"the content of {url} changed",)]
        web.put("/f", "2", headers={"Last-Modified": "Thu, 01 Jan 2015 00:00:00 GMT"})
        assert missed(workshop, text) == [(f"the Last-Modified time of {url} changed",)]


def test_a_commit(workshop: Workshop, tmp_path: Path) -> None:
    with web_server(tmp_path) as web:
        repository = Repository(web, "r")
        first = repository.commit({"f": "1"})
        text = f"FROM scratch\nADD {repository.url} /r\n"
        missed(workshop, text)
        second = repository.commit({"f": "2"})
        assert missed(workshop, text) == [
            (f"the commit of {repository.url} changed, it was {first[:12]} and is {second[:12]}",)
        ]


def test_plain_progress_shows_it_and_no_value(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write("Dockerfile", "FROM base\nARG TOKEN\nRUN echo >/f\n")
    command = ["build", "--store", str(workshop.store), "--build-context", f"base={workshop.base}", "--progress"]
    for token in ("s3cret", "other"):
        done = fswatch_builder(*command, "plain", "--build-arg", f"TOKEN={token}", str(workshop.context))
    assert "#4 not cached: the variable TOKEN changed\n" in done.stderr
    assert "s3cret" not in done.stderr
    done = fswatch_builder(*command, "rawjson", "--build-arg", "TOKEN=third", str(workshop.context))
    assert '"event": "StepMissed"' in done.stderr
