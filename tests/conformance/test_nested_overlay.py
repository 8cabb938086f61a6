"""An overlay that the command mounts over directories of the tree, as a container engine in a RUN does, and as anybody
can in a user namespace: overlayfs writes to them by descriptors of its own.
"""

import os
import subprocess
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from fswatch_builder.changes.widen import widen
from fswatch_builder.runtime.run import run
from tests.support.fanotify import Fanotify, handle_of
from tests.support.hints import baseline_of
from tests.support.rootfs import busybox_rootfs
from tests.support.running import Recorder, shell
from tests.support.tracked import usable_here

pytestmark = pytest.mark.root

MOUNT = "mount -t overlay -o lowerdir=/low,upperdir=/up,workdir=/w,userxattr none /m"
SCRIPTS = {
    "a write to a file of the upper directory": "echo more >>/m/f",
    "the same, its time restored": "touch -r /m/f /m/g; echo CHANGED >/m/f; touch -r /m/g /m/f; rm /m/g",
    "a file of the lower directory": "echo more >>/m/l",
    "a removal": "rm /m/l /m/f",
    "nothing": ":",
}


@pytest.fixture
def rootfs(tmp_path: Path) -> native.Rootfs:
    root = tmp_path / "rootfs"
    busybox_rootfs(os.fsencode(root))
    for name in ("low", "up", "w", "m"):
        (root / name).mkdir()
    (root / "up/f").write_text("content\n")
    (root / "low/l").write_text("content\n")
    return native.Rootfs(os.fsencode(root))


def command(script: str) -> str:
    return f'unshare --user --map-root-user --mount sh -ec "{MOUNT}; {script}"'


@pytest.mark.parametrize("again", [False, True], ids=["new", "used before"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_tracker_finds_what_the_oracle_finds(name: str, again: bool, rootfs: native.Rootfs) -> None:
    """``again``: the work directory is there from an earlier step."""
    if again:
        assert run(rootfs, shell(command(":")), Recorder()).exit_code == 0
    usable = usable_here(rootfs)
    baseline = baseline_of(rootfs)
    before = oracle.snapshot(rootfs.path)
    sessions = [tracker.arm(rootfs, baseline) for tracker in usable]
    try:
        outcome = run(rootfs, shell(command(SCRIPTS[name])), Recorder(), witness=True)
        assert outcome.exit_code == 0, outcome.tail
        judged = [(change.path, change.kind) for change in oracle.compare(before, oracle.snapshot(rootfs.path))]
        for session in sessions:
            links_made = outcome.links_made if session.needs_link_witness else 0
            found = baseline.reconcile(rootfs, widen(session.settle())[0], links_made=links_made)
            assert [(change.path, change.kind) for change in found.changes] == judged, session.tracker
    finally:
        for session in sessions:
            session.close()
    assert (b"up/f" in dict(judged)) == ("write" in name or "same" in name or "removal" in name)


def test_an_overlay_that_works_outside_is_found_where_the_kernel_tells_of_its_writes(tmp_path: Path) -> None:
    """`track`, where the work directory need not lie in the tree. Linux 6.1 does not tell, 6.18 does: docs/cli.md.
    (inotify is followed by a scan wherever something was mounted.)
    """
    root = tmp_path / "rootfs"
    for name in ("rootfs/up", "low", "work", "merged"):
        (tmp_path / name).mkdir(parents=True)
    (root / "up/f").write_text("content\n")
    mount = (
        f"mount -t overlay -o lowerdir={tmp_path}/low,upperdir={root}/up,workdir={tmp_path}/work none {tmp_path}/merged"
    )
    rootfs = native.Rootfs(os.fsencode(root))
    usable = usable_here(rootfs)
    baseline, _ = native.Baseline.record(rootfs)
    sessions = [tracker.arm(rootfs, baseline) for tracker in usable if tracker.name != "inotify"]
    with Fanotify() as group:
        group.mark(root)
        try:
            script = f"{mount}; echo more >>{tmp_path}/merged/f"
            subprocess.run(["unshare", "--mount", "sh", "-ec", script], check=True)
            told = handle_of(root / "up/f") in {record.target for record in group.read()}
            for session in sessions:
                found = baseline.reconcile(rootfs, widen(session.settle())[0])
                assert (b"up/f" in {change.path for change in found.changes}) == (told or session.tracker == "scan")
        finally:
            for session in sessions:
                session.close()
