"""Where the fanotify tracker cannot work, it says so with the call and the errno; ``auto`` takes the next best."""

import os
import subprocess
from pathlib import Path

import pytest

from fswatch_builder._native import Rootfs
from fswatch_builder.tracking.strategies.fanotify import FanotifyTracker
from tests.support.confined import DOCKER_DEFAULT, run_confined
from tests.support.filesystems import mounted
from tests.support.namespace import run_limited

pytestmark = pytest.mark.root

SELECT = """
import json, os, sys
from fswatch_builder._native import Baseline, Rootfs
from fswatch_builder.tracking import selection
# As in a tree that is worth watching: this one is empty.
selection.dearer_than_scan = lambda tracker, baseline, runs: None
rootfs = Rootfs(os.fsencode(sys.argv[-1]))
chosen = selection.select("auto", rootfs, Baseline.empty(rootfs))
print(json.dumps([chosen.tracker.name, *chosen.why]))
"""


def reason(path: Path) -> str:
    capability = FanotifyTracker().probe(Rootfs(os.fsencode(path)))
    assert not capability.usable
    return capability.reason


def test_m16_dockers_capabilities_are_not_enough_and_auto_falls_back(tmp_path: Path) -> None:
    name, *why = run_confined(SELECT, str(tmp_path), capabilities=DOCKER_DEFAULT)
    assert name == "inotify"
    assert why[0].startswith("fanotify: CAP_SYS_ADMIN is missing")
    assert why[0].endswith("(fanotify_mark: EPERM)")
    assert why[1] == "inotify: the file system reports events"


def test_m16_a_seccomp_filter_that_refuses_fanotify_is_told_and_auto_falls_back(tmp_path: Path) -> None:
    name, *why = run_confined(SELECT, str(tmp_path), refused="fanotify_init")
    assert name == "inotify"
    assert why[0] == (
        "fanotify: CAP_SYS_ADMIN is missing, or a seccomp filter refuses fanotify_init (fanotify_init: EPERM)"
    )


def test_neither_searching_nor_opening_by_handle_is_needed(tmp_path: Path) -> None:
    """CAP_DAC_READ_SEARCH, which containers lack even if they have CAP_SYS_ADMIN."""
    name, *_ = run_confined(SELECT, str(tmp_path), capabilities=["sys_admin"])
    assert name == "fanotify"


def test_no_group_left_is_told(tmp_path: Path) -> None:
    name, *why = run_limited(SELECT, str(tmp_path), max_fanotify_groups=0)
    assert name == "inotify"
    assert "fs.fanotify.max_user_groups" in why[0]
    assert why[0].endswith("(fanotify_init: EMFILE)")


def test_no_mark_left_is_told(tmp_path: Path) -> None:
    script = """
import ctypes, subprocess, sys
assert ctypes.CDLL(None).unshare(0x20000) == 0  # CLONE_NEWNS
subprocess.run(["mount", "-t", "tmpfs", "none", sys.argv[-1]], check=True)
"""
    name, *why = run_limited(script + SELECT, str(tmp_path), max_fanotify_marks=0)
    if "EPERM" in why[0]:
        pytest.skip("this kernel lets no user namespace mark a file system (Linux 6.16 does)")
    assert name == "inotify"
    assert why[0].endswith("(fanotify_mark: ENOSPC)")


def test_a_user_namespace_may_not_mark_the_hosts_file_system(tmp_path: Path) -> None:
    name, *why = run_limited(SELECT, str(tmp_path))
    assert name == "inotify"
    assert "user namespace that mounted the file system" in why[0]


def test_a_btrfs_subvolume_is_told(tmp_path: Path) -> None:
    with mounted("btrfs", tmp_path) as top:
        subprocess.run(["btrfs", "subvolume", "create", top / "sub"], check=True, capture_output=True)
        assert reason(top / "sub").endswith("(fanotify_mark: EXDEV)")
        assert "subvolume" in reason(top / "sub")


@pytest.mark.parametrize(
    ("options", "expected"),
    [("", "(fanotify_mark: EOPNOTSUPP)"), (",index=on,nfs_export=on", "file handles are of a kind that is not known")],
    ids=["default", "nfs_export"],
)
def test_an_overlay_is_told(options: str, expected: str, tmp_path: Path) -> None:
    with mounted("tmpfs", tmp_path) as disk:
        for name in ("lower", "upper", "work", "merged"):
            (disk / name).mkdir()
        layers = f"lowerdir={disk}/lower,upperdir={disk}/upper,workdir={disk}/work{options}"
        subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", disk / "merged"], check=True)
        try:
            assert expected in reason(disk / "merged")
        finally:
            subprocess.run(["umount", disk / "merged"], check=True)


def test_a_file_system_without_marks_is_told() -> None:
    assert "fanotify_mark" in reason(Path("/proc"))
