"""A look at a kept tree that goes on by itself."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fswatch_builder import stopping
from fswatch_builder._native import Baseline, HintSet, Rootfs
from fswatch_builder.build import belief
from fswatch_builder.build.belief import Look
from fswatch_builder.stopping import Stop, Stopped

PATIENCE_S = 60.0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "rootfs/d").mkdir(parents=True)
    (tmp_path / "rootfs/d/f").write_text("x")
    baseline, _ = Baseline.record(Rootfs(os.fsencode(tmp_path / "rootfs")))
    baseline.save(os.fsencode(tmp_path / "baseline"))
    return tmp_path


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No look begins before it is set."""
    event = threading.Event()
    real = belief.everything

    def everything() -> HintSet:
        assert event.wait(PATIENCE_S)
        return real()

    monkeypatch.setattr(belief, "everything", everything)
    yield event
    event.set()


def add(tree: Path) -> None:
    (tree / "rootfs/d/new").touch()


@pytest.mark.parametrize(
    ("alter", "fault"), [(None, None), (add, "it was changed since, in 2 places, such as /d")], ids=["whole", "altered"]
)
def test_it_gives_its_verdict_and_says_at_once_if_the_tree_is_altered(
    tree: Path, go: threading.Event, alter: Callable[[Path], None] | None, fault: str | None
) -> None:
    look = Look(str(tree), read_all=False)
    assert not look.ends_within(0)
    if alter is not None:
        alter(tree)  # meanwhile
    go.set()
    assert look.fault() == fault
    assert look.altered.wait(0) == (fault is not None)
    look.close()


def test_who_waits_for_a_verdict_hears_that_it_shall_end(tree: Path, go: threading.Event) -> None:
    look = Look(str(tree), read_all=False)
    with Stop() as stop, stopping.under(stop):
        stop.set()
        with pytest.raises(Stopped):
            look.fault()
    go.set()
    assert look.fault() is None  # for another one
    look.close()


def test_one_that_nobody_waits_for_is_ended(tree: Path, go: threading.Event) -> None:
    class Abandoned:
        """The root file system of a look, which goes on as soon as that is abandoned."""

        def abandon(self) -> None:
            rootfs.abandon()
            go.set()

    look = Look(str(tree), read_all=True)
    rootfs = look.rootfs
    look.rootfs = Abandoned()  # type: ignore[assignment]
    look.close()
    with pytest.raises(OSError, match="reconcile") as ended:
        look.fault()
    assert ended.value.errno == errno.ECANCELED


def test_a_tree_without_a_root_file_system_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Look(str(tmp_path), read_all=False)
    assert [one for one in threading.enumerate() if one.name == "look at a kept tree"] == []
