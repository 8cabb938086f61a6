"""A full queue is provoked by not reading it: the kernel's limit belongs to the host and is never touched."""

import os
from pathlib import Path

from fswatch_builder._native import Rootfs
from fswatch_builder.tracking.limits import read_limits
from fswatch_builder.tracking.strategies.inotify import InotifyTracker
from tests.support.hints import baseline_of, covers


def test_a_full_queue_is_a_loss_of_the_root_and_then_watching_goes_on(tmp_path: Path) -> None:
    for name in ("quiet", "busy"):
        (tmp_path / name).mkdir()
    rootfs = Rootfs(os.fsencode(tmp_path))
    session = InotifyTracker().arm(rootfs, baseline_of(rootfs))
    try:
        session.watches.pause()
        for number in range(read_limits().queued_events):
            os.close(os.open(tmp_path / "busy" / str(number), os.O_CREAT | os.O_WRONLY))
        (tmp_path / "quiet/late").touch()
        hints = session.settle()
        assert hints.losses == [("queue-overflow", b"")]
        assert (b"quiet/late", "entry") not in hints.hints, "the queue did not overflow"
        assert covers(hints, b"quiet/late")
        session.watches.resume()
        (tmp_path / "quiet/later").touch()
        hints = session.settle()
        assert covers(hints, b"quiet/later")
        assert hints.losses == []
    finally:
        session.close()
