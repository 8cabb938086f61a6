"""A file changed through a hard link that is gone when we look: no event names a path that is still there (hazard A20).

So the links that a RUN makes are counted, and everything is looked at unless all of them are there.
"""

import os
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from fswatch_builder.changes.widen import widen
from fswatch_builder.runtime.run import run
from fswatch_builder.tracking.protocol import Session
from fswatch_builder.tracking.registry import trackers
from tests.support.hints import baseline_of, covers
from tests.support.rootfs import busybox_rootfs
from tests.support.running import Recorder, shell
from tests.support.tracked import usable_here

pytestmark = pytest.mark.root

VANISHED = {
    "write": "ln d/f x; echo >>x; rm x",
    "chmod": "ln d/f x; chmod 640 x; rm x",
    "chown": "ln d/f x; chown 1000 x; rm x",
    "same size, same time": "ln d/f x; touch -r x y; echo CHANGED >x; touch -r y x; rm x y",
    "in a new directory": "mkdir new; ln d/f new/x; echo >>new/x; rm -r new",
    "moved before it goes": "ln d/f x; mkdir new; mv x new/y; echo >>new/y; mv new/y z; rm z",
    "replaced, not removed": "ln d/f x; echo >>x; echo >y; mv y x",
    "one of two goes": "ln d/f x; ln d/f y; echo >>x; rm x y; ln d/g y",
    "by a daemon": "(ln d/f x; echo >>x; rm x; : >done) & until test -e done; do :; done",
    "to the end": "(ln d/f x; while :; do echo >>x; rm x && : >z; done) & until test -e z; do :; done",
}
"""They change d/f."""
UNCERTAIN = {
    "a link of a new file that loses its first name": "echo >n; ln n x; rm n",
    "a link that cannot be made": "! ln d/f d/g",
    "as dpkg keeps its old status": "ln d/f old; echo 2 >new; mv new d/f",
}
"""No file is changed that way, but one could have been."""
CERTAIN = {
    "links that stay": "ln d/f x; ln d/g y; echo >>y",
    "of a new file, in a new directory": "mkdir new; echo 1 >new/a; ln new/a new/b; ln new/a c; echo 2 >>c",
    "links that move": "ln d/f x; echo >>x; mv x y; mkdir new; mv y new; mv d/f z",
    "no link": "echo >>d/f; cp d/f x; mv d/g y; ln -s d/f s; chmod 600 d/h",
    "nothing": "true",
}
"""Nothing is looked at but what the hints name."""


@pytest.fixture
def rootfs(tmp_path: Path) -> native.Rootfs:
    root = tmp_path / "rootfs"
    busybox_rootfs(os.fsencode(root))
    (root / "d").mkdir()
    for name in "fgh":
        (root / "d" / name).write_text("content\n")
    return native.Rootfs(os.fsencode(root))


def reconciled(
    rootfs: native.Rootfs, baseline: native.Baseline, session: Session, hints: native.HintSet, made: int | None
) -> native.ChangeSet:
    """As a build does it."""
    links_made = made if session.needs_link_witness else 0
    return baseline.reconcile(rootfs, widen(hints)[0], links_made=links_made)


@pytest.mark.parametrize("name", [*VANISHED, *UNCERTAIN, *CERTAIN])
def test_every_tracker_finds_what_the_oracle_finds(name: str, rootfs: native.Rootfs) -> None:
    usable = usable_here(rootfs)
    baseline = baseline_of(rootfs)
    before = oracle.snapshot(rootfs.path)
    sessions = [tracker.arm(rootfs, baseline) for tracker in usable]
    try:
        outcome = run(rootfs, shell({**VANISHED, **UNCERTAIN, **CERTAIN}[name]), Recorder(), witness=True)
        assert outcome.exit_code == 0, outcome.tail
        found = {
            session.tracker: reconciled(rootfs, baseline, session, session.settle(), outcome.links_made)
            for session in sessions
        }
    finally:
        for session in sessions:
            session.close()
    judged = [(change.path, change.kind) for change in oracle.compare(before, oracle.snapshot(rootfs.path))]
    for tracker, changes in found.items():
        assert [(change.path, change.kind) for change in changes.changes] == judged, tracker
    assert name not in VANISHED or b"d/f" in dict(judged)
    assert found["inotify"].losses == ([] if name in CERTAIN else [("vanished-links", b"")])
    assert found["scan"].losses == []


@pytest.mark.parametrize("name", ["write", "chmod", "in a new directory"])
def test_a_tracker_that_needs_no_witness_covers_it_by_itself(name: str, rootfs: native.Rootfs) -> None:
    sessions = [tracker.arm(rootfs, baseline_of(rootfs)) for tracker in usable_here(rootfs)]
    try:
        run(rootfs, shell(VANISHED[name]), Recorder())
        covering = {session.tracker: covers(session.settle(), b"d/f") for session in sessions}
        assert covering == {session.tracker: not session.needs_link_witness for session in sessions}
    finally:
        for session in sessions:
            session.close()


@pytest.mark.parametrize("script", ["true", VANISHED["write"]])
def test_where_nobody_can_count_everything_is_looked_at(script: str, rootfs: native.Rootfs) -> None:
    baseline = baseline_of(rootfs)
    session = trackers()["inotify"].arm(rootfs, baseline)
    try:
        outcome = run(rootfs, shell(script), Recorder())
        assert outcome.links_made is None
        changes = reconciled(rootfs, baseline, session, session.settle(), outcome.links_made)
    finally:
        session.close()
    assert changes.losses == [("unseen-links", b"")]
    assert (b"d/f" in [change.path for change in changes.changes]) == (script != "true")


def test_links_that_an_overlay_makes_without_a_call_stand_in_for_none_that_vanished(rootfs: native.Rootfs) -> None:
    """overlayfs makes whiteouts by linking one inode again and again: as many links gained as the RUN itself made."""
    root = Path(os.fsdecode(rootfs.path))
    for name in ("lower/a", "lower/b", "upper", "work", "merged"):
        (root / name).mkdir(parents=True)
    baseline = baseline_of(rootfs)
    session = trackers()["inotify"].arm(rootfs, baseline)
    options = "userxattr,lowerdir=/lower,upperdir=/upper,workdir=/work"
    inside = f"mount -t overlay none -o {options} /merged && rmdir /merged/a /merged/b"
    try:
        script = f"ln d/f x; echo >>x; rm x; unshare -Urm sh -c '{inside}' || exit 77"
        outcome = run(rootfs, shell(script), Recorder(), witness=True)
        if outcome.exit_code == 77:
            pytest.skip("no overlay in a user namespace here")
        assert outcome.exit_code == 0, outcome.tail
        changes = reconciled(rootfs, baseline, session, session.settle(), outcome.links_made)
    finally:
        session.close()
    assert (root / "upper/a").stat().st_nlink > 1
    assert b"d/f" in [change.path for change in changes.changes]
    assert (outcome.links_made, changes.losses) == (None, [("unseen-links", b"")])


def test_an_inode_number_that_is_used_again_proves_no_link(rootfs: native.Rootfs) -> None:
    """The new file has the number of one that had two names: its second name may be the new file's or the old one's."""
    root = Path(os.fsdecode(rootfs.path))
    os.link(root / "d/h", root / "d/i")
    baseline = baseline_of(rootfs)
    hints = native.HintSet()
    for path in (b"d", b"d/h", b"d/i", b"d/g", b"n", b"m"):
        hints.add(path, "entry")
    known = (root / "d/h").stat().st_ino
    os.unlink(root / "d/h")
    os.unlink(root / "d/i")
    (root / "n").write_text("new\n")
    os.link(root / "n", root / "m")
    changes = baseline.reconcile(rootfs, hints, links_made=1)
    reused = (root / "n").stat().st_ino == known
    assert changes.losses == ([("vanished-links", b"")] if reused else [])
