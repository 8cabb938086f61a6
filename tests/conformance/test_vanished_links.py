"""A file changed through a hard link that is gone when we look: no event names a path that is still there (hazard A20).

So the links that a RUN makes are counted, and everything is looked at if there were any.
"""

import os
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from fswatch_builder.changes.widen import widen
from fswatch_builder.runtime.run import run
from fswatch_builder.tracking.links import lose_to_links
from fswatch_builder.tracking.registry import trackers
from tests.support.hints import baseline_of, covers
from tests.support.rootfs import busybox_rootfs
from tests.support.running import Recorder, shell

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
    "in the background to the end": "(ln d/f x; while :; do echo >>x; rm x && : >z; done) & until test -e z; do :; done",
}
OTHERS = {
    "links that stay": "ln d/f x; ln d/g y; echo >>y",
    "a link of a new file": "echo >n; ln n x; rm n",
    "a link that cannot be made": "! ln d/f d/g",
    "as dpkg keeps its old status": "ln d/f old; echo 2 >new; mv new d/f",
}
WITHOUT = {
    "no link": "echo >>d/f; cp d/f x; mv d/g y; ln -s d/f s; chmod 600 d/h",
    "nothing": "true",
}


@pytest.fixture
def rootfs(tmp_path: Path) -> native.Rootfs:
    root = tmp_path / "rootfs"
    busybox_rootfs(os.fsencode(root))
    (root / "d").mkdir()
    for name in "fgh":
        (root / "d" / name).write_text("content\n")
    return native.Rootfs(os.fsencode(root))


def whole() -> native.HintSet:
    hints = native.HintSet()
    hints.add(b"", "subtree")
    return hints


@pytest.mark.parametrize("name", [*VANISHED, *OTHERS, *WITHOUT])
def test_every_tracker_finds_what_a_scan_and_the_oracle_find(name: str, rootfs: native.Rootfs) -> None:
    script = {**VANISHED, **OTHERS, **WITHOUT}[name]
    baseline = baseline_of(rootfs)
    before = oracle.snapshot(rootfs.path)
    sessions = [tracker.arm(rootfs, baseline) for tracker in trackers().values()]
    try:
        outcome = run(rootfs, shell(script), Recorder(), witness=True)
        assert outcome.exit_code == 0, outcome.tail
        hints = {session.tracker: session.settle() for session in sessions}
        for session in sessions:
            lose_to_links(hints[session.tracker], session, outcome.links_made)
    finally:
        for session in sessions:
            session.close()
    judged = [(change.path, change.kind) for change in oracle.compare(before, oracle.snapshot(rootfs.path))]
    for tracker, found in hints.items():
        changes = baseline.reconcile(rootfs, widen(found)[0])
        assert [(change.path, change.kind) for change in changes.changes] == judged, tracker
    assert name not in VANISHED or b"d/f" in dict(judged)
    assert (outcome.links_made == 0) == (name in WITHOUT)
    assert dict(hints["inotify"].losses) == ({} if name in WITHOUT else {"links-made": b""})


@pytest.mark.parametrize("name", ["write", "chmod", "in a new directory"])
def test_a_tracker_that_needs_no_witness_covers_it_by_itself(name: str, rootfs: native.Rootfs) -> None:
    sessions = [tracker.arm(rootfs, baseline_of(rootfs)) for tracker in trackers().values()]
    try:
        run(rootfs, shell(VANISHED[name]), Recorder())
        covering = {session.tracker: covers(session.settle(), b"d/f") for session in sessions}
        assert covering == {session.tracker: not session.needs_link_witness for session in sessions}
    finally:
        for session in sessions:
            session.close()


def test_where_nobody_can_count_everything_is_lost(rootfs: native.Rootfs) -> None:
    session = trackers()["inotify"].arm(rootfs, baseline_of(rootfs))
    try:
        outcome = run(rootfs, shell("true"), Recorder())
        hints = session.settle()
        lose_to_links(hints, session, outcome.links_made)
        assert hints.losses == [("links-unseen", b"")]
    finally:
        session.close()
