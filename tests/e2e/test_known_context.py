"""A build reads of its context what was written to since the last one, and no more."""

import gc
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fswatch_builder.build import known_contents
from fswatch_builder.build.events import StepNote
from fswatch_builder.errors import OutputError, RunError
from fswatch_builder.oci.keeping.kept import KeptThings, Kind, Thing
from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop
from tests.support.filesystems import mounted
from tests.support.rare_calls import exchange_contents

pytestmark = pytest.mark.root

LINES = "FROM scratch\nCOPY a b /\n"


@pytest.fixture
def on_xfs(workshop: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """Where files can be exchanged without a stamp: who reads them sees it, and nobody else."""
    with mounted("xfs", tmp_path) as point:
        (point / "context").mkdir()
        shop = replace(workshop, context=point / "context")
        for name in ("a", "b"):
            shop.write(name, name * 4096)
        yield shop


def exchange(shop: Workshop) -> None:
    exchange_contents(shop.context / "a", shop.context / "b")


def kept_contexts(shop: Workshop) -> list[Thing]:
    with Store.open(str(shop.store)) as store:
        return store.kept.things(Kind.CONTEXT)


def test_what_nobody_touched_is_not_read_again(on_xfs: Workshop) -> None:
    assert on_xfs.build(LINES).recorder.statuses() == ["done"]
    exchange(on_xfs)
    assert on_xfs.build(LINES).recorder.statuses() == ["cached"]
    (thing,) = kept_contexts(on_xfs)
    assert thing.label == str(on_xfs.context)


def test_who_does_not_believe_it_has_all_read(on_xfs: Workshop) -> None:
    on_xfs.build(LINES)
    exchange(on_xfs)
    result = on_xfs.build(LINES, hash_mode="all")
    assert result.recorder.statuses() == ["done"]
    assert result.text(result.layers[0], "a")[0] == "b"


def test_a_change_is_found_among_what_is_known(on_xfs: Workshop) -> None:
    on_xfs.build(LINES)
    path = on_xfs.context / "a"
    stat = path.stat()
    path.write_text("c" * 4096)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = on_xfs.build(LINES)
    assert result.recorder.missed() == [("files: a: content",)]
    assert result.text(result.layers[0], "a")[0] == "c"


def test_what_a_failed_build_has_read_is_known(on_xfs: Workshop) -> None:
    with pytest.raises(RunError):
        on_xfs.build("FROM base\nCOPY a b /\nRUN false\n")
    gc.collect()  # the frames of the error have the context open
    assert len(kept_contexts(on_xfs)) == 1


def test_what_is_damaged_is_made_anew(on_xfs: Workshop) -> None:
    on_xfs.build(LINES)
    (thing,) = kept_contexts(on_xfs)
    Path(thing.path).write_bytes(b"junk")
    exchange(on_xfs)
    assert on_xfs.build(LINES).recorder.statuses() == ["done"]
    assert Path(thing.path).read_bytes() != b"junk"


def test_a_mount_of_the_context_is_known_as_well(on_xfs: Workshop) -> None:
    lines = "FROM base\nRUN --mount=type=bind,target=/c cat /c/a\n"
    on_xfs.build(lines)
    exchange(on_xfs)
    assert on_xfs.build(lines).recorder.statuses() == ["cached"]


def test_of_a_context_that_was_fetched_nothing_is_kept(on_xfs: Workshop) -> None:
    on_xfs.build(LINES, ignores=False)
    assert kept_contexts(on_xfs) == []


def test_a_store_holds_of_a_context_what_the_last_build_knew(on_xfs: Workshop) -> None:
    for content in ("c", "d", "e"):
        on_xfs.write("a", content)
        on_xfs.build(LINES)
    (thing,) = kept_contexts(on_xfs)
    assert os.listdir(os.path.dirname(thing.path)) == [os.path.basename(thing.path)]


def test_of_many_contexts_those_used_last_are_known(on_xfs: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_contents, "_MOST_CONTEXTS", 2)
    for name in ("one", "two", "three"):
        (on_xfs.context / name).mkdir()
        shop = replace(on_xfs, context=on_xfs.context / name)
        shop.write("f", name)
        shop.build("FROM scratch\nCOPY f /\n")
    assert len(kept_contexts(on_xfs)) == 2
    assert str(on_xfs.context / "three") in [thing.label for thing in kept_contexts(on_xfs)]


@pytest.fixture
def full_store(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OutputError("no space")

    monkeypatch.setattr(KeptThings, "replace", fails)


@pytest.mark.usefixtures("full_store")
def test_where_it_cannot_be_kept_the_image_is_built_and_it_is_said(on_xfs: Workshop) -> None:
    recorder = on_xfs.build(LINES).recorder
    assert recorder.statuses() == ["done"]
    notes = [event.text for event in recorder.events if isinstance(event, StepNote)]
    assert notes == [f"the next build will read all of {on_xfs.context}: no space"]


@pytest.mark.usefixtures("full_store")
def test_what_ends_a_build_is_told_where_it_cannot_be_kept_either(on_xfs: Workshop) -> None:
    with pytest.raises(RunError):
        on_xfs.build("FROM base\nCOPY a b /\nRUN false\n")
    gc.collect()  # the frames of the error have the context open
