"""Mounts: what a RUN mounts is its own business, what the host mounts over the tree is refused by name."""

import os
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes.widen import widen
from tests.support.rootfs import busybox_rootfs
from tests.support.running import says
from tests.support.system_calls import bind_mount, mount_tmpfs, unmount
from tests.support.tracked import armed, assert_nothing_missed, described, whole

pytestmark = pytest.mark.root


@pytest.mark.parametrize("changed", [False, True], ids=["nothing-below", "a-write-below"])
def test_m12_what_the_host_mounts_over_the_tree_is_refused_where_it_matters(
    changed: bool, populated: native.Rootfs
) -> None:
    """No event tells of it. A tracker that hints at nothing below it is right not to look; every other one stumbles."""
    covered = Path(os.fsdecode(populated.path), "data/a")
    with armed(populated) as together:
        below = os.open(covered, os.O_RDONLY | os.O_DIRECTORY)
        mount_tmpfs(str(covered))
        try:
            if changed:
                fd = os.open("b/one", os.O_WRONLY | os.O_APPEND, dir_fd=below)
                os.write(fd, b"below the mount\n")
                os.close(fd)
            for session in together.sessions:
                hints = widen(session.settle())[0]
                if changed or session.tracker == "scan":
                    with pytest.raises(native.RefusedError, match="mounted over it") as refused:
                        together.baseline.reconcile(populated, hints)
                    assert refused.value.path == b"data/a"
                else:
                    assert described(together.baseline.reconcile(populated, hints)) == []
        finally:
            os.close(below)
            unmount(str(covered))
        # What was below is found when it is in view again.
        found = described(together.baseline.reconcile(populated, whole()))
        assert found == together.judge()
        assert [path for path, *_ in found] == ([b"data/a/b/one"] if changed else [])


def test_a_file_that_is_mounted_over_is_refused_too(populated: native.Rootfs) -> None:
    place = Path(os.fsdecode(populated.path), "etc/passwd")
    with armed(populated) as together:
        bind_mount(str(place.with_name("group")), str(place))
        try:
            with pytest.raises(native.RefusedError, match="mounted over it"):
                together.baseline.reconcile(populated, whole())
        finally:
            unmount(str(place))


def test_a_run_that_mounts_in_a_namespace_of_its_own_hides_nothing(tmp_path: Path) -> None:
    busybox_rootfs(os.fsencode(tmp_path / "root"))
    rootfs = native.Rootfs(os.fsencode(tmp_path / "root"))
    for name in ("a", "b", "c"):
        (tmp_path / "root" / name).mkdir()
        (tmp_path / "root" / name / "f").write_text(name)
    inner = "mount --bind /a /b && echo bound > /b/f && mount -t tmpfs t /c && echo gone > /c/f && echo mounted"
    with armed(rootfs) as together:
        assert says(rootfs, f"unshare -Urm sh -c '{inner}'") == "mounted\n"
        found = assert_nothing_missed(together)
    assert [path for path, *_ in found] == [b"a/f"]
