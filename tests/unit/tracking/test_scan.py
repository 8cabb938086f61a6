import os
from pathlib import Path

from fswatch_builder._native import Baseline, Rootfs
from fswatch_builder.tracking.strategies.scan import ScanTracker


def test_a_scan_looks_everywhere_every_time(tmp_path: Path) -> None:
    rootfs = Rootfs(os.fsencode(tmp_path))
    session = ScanTracker().arm(rootfs, Baseline.empty(rootfs))
    for _ in range(2):
        hints = session.settle()
        assert hints.hints == [(b"", "subtree")]
        assert hints.losses == []
    session.close()
    session.close()
