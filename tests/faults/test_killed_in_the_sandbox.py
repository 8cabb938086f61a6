"""SIGKILL to all of a RUN at random moments: what it left is what every tracker finds."""

import os
import random
import time
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.protocol import Session
from fswatch_builder.tracking.registry import trackers
from tests.support.layers import diff_id
from tests.support.rootfs import busybox_rootfs

pytestmark = pytest.mark.root

ROUNDS = 6
LONGEST_S = 0.05
"""From the start to the kill. The first command runs after a few milliseconds."""

COMMANDS = [
    "echo {0} >> /data/{1}/f",
    "echo {0} > /data/{1}/n{2}",
    "mkdir -p /data/{1}/new{2}/deep/er; echo {0} > /data/{1}/new{2}/deep/er/f",
    "mv -T /data/{1} /data/moved; echo {0} >> /data/moved/f; mv -T /data/moved /data/{1}",
    "mv /data/{1}/f /data/{2}/g",
    "ln -f /data/{1}/f /data/{2}/linked; echo {0} >> /data/{2}/linked; rm /data/{2}/linked",
    "ln -f /data/{1}/f /data/{2}/kept",
    "rm -rf /data/{1}; mkdir /data/{1}; echo {0} > /data/{1}/f",
    "cp -a /data/{1}/. /data/{2}",
    "chmod 6{2}0 /data/{1}/f; touch -d @{0} /data/{1}/f",
    "dd if=/dev/zero of=/data/{1}/big bs=1k count={0} conv=notrunc",
    "ln -sfn {0} /data/{1}/s; ln -sfn ../{2} /data/{1}/s",
]


def planted(directory: Path) -> native.Rootfs:
    busybox_rootfs(str(directory))
    for name in "012345":
        (directory / "data" / name).mkdir(parents=True)
        (directory / "data" / name / "f").write_text(name)
    return native.Rootfs(os.fsencode(directory))


def random_script(source: random.Random) -> str:
    def commands() -> str:
        drawn = (source.choice(COMMANDS) for _ in range(8))
        return "; ".join(line.format(source.randrange(1, 99), *source.sample(range(6), 2)) for line in drawn)

    return f"while :; do {commands()}; done & while :; do {commands()}; done"


def run_and_kill(rootfs: native.Rootfs, source: random.Random) -> int | None:
    """How many links were made at most."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        command = [b"/bin/sh", b"-c", random_script(source).encode()]
        sandbox = native.spawn(rootfs, native.RunSpec(command, [b"PATH=/bin"], b"/", witness=True), null, null)
        time.sleep(source.random() * LONGEST_S)  # the moment is what is tried
        sandbox.kill()
        assert sandbox.wait() == 137
        return sandbox.links_made
    finally:
        os.close(null)


def kill_again_and_again(
    rootfs: native.Rootfs, watched: list[tuple[Session, native.Baseline]], source: random.Random
) -> int:
    """The number of RUNs that had changed something."""
    before, changed = oracle.snapshot(rootfs.path), 0
    for _ in range(ROUNDS):
        links = run_and_kill(rootfs, source)
        hints = [widen(session.settle())[0] for session, _ in watched]
        now = oracle.snapshot(rootfs.path)
        judged = [(change.path, change.kind, change.why) for change in oracle.compare(before, now)]
        layers = set()
        for (session, baseline), where in zip(watched, hints, strict=True):
            links_made = links if session.needs_link_witness else 0
            changes = baseline.reconcile(rootfs, where, links_made=links_made)
            assert [(change.path, change.kind, change.why) for change in changes.changes] == judged, session.tracker
            layers.add(diff_id(rootfs, baseline, changes))
            baseline.advance(changes)
            session.advance(baseline, changes)
        assert len(layers) == 1
        before, changed = now, changed + bool(judged)
    return changed


def test_a_run_that_is_killed_at_a_random_moment(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown if it fails
    rootfs = planted(tmp_path / "in place")
    usable = [tracker for tracker in trackers().values() if tracker.probe(rootfs).usable]
    places: list[tuple[native.Rootfs, list[tuple[Session, native.Baseline]]]] = [(rootfs, [])]
    for tracker in usable:
        if tracker.in_place:
            baseline, _ = native.Baseline.record(rootfs)
            places[0][1].append((tracker.arm(rootfs, baseline), baseline))
        else:
            lower = planted(tmp_path / tracker.name)
            baseline, _ = native.Baseline.record(lower)
            session = tracker.arm(lower, baseline)
            places.append((session.rootfs, [(session, baseline)]))
    assert {session.tracker for session, _ in places[0][1]} >= {"scan", "inotify"}
    try:
        for where, watched in places:
            assert kill_again_and_again(where, watched, random.Random(seed)) > 0
    finally:
        for _, watched in places:
            for session, _ in watched:
                session.close()
