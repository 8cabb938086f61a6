"""A RUN leaves the root file system as it was, but for its own work (hazards B2, B3)."""

import os
from pathlib import Path

import pytest

from fswatch_builder._native import Mount, Rootfs, RunSpec, spawn
from fswatch_builder.errors import RunError
from tests.support.running import attempt, says

pytestmark = pytest.mark.root


def state(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Mode, mtime, inode and content of everything."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in [*names, *files, "."]:
            path = Path(directory, name)
            stat = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[os.path.relpath(path, root)] = (stat.st_mode, stat.st_mtime_ns, stat.st_ino, content)
    return found


def test_a_run_that_does_nothing_leaves_no_trace(root: Path, rootfs: Rootfs) -> None:
    os.utime(root, ns=(1, 1_234_567_890_123_456_789))
    before = state(root)
    says(rootfs, "true")
    assert state(root) == before


def test_existing_mount_points_stay(root: Path, rootfs: Rootfs) -> None:
    for name in ("proc", "sys", "dev"):
        (root / name).mkdir(mode=0o700)
    (root / "dev/null").write_text("the image's own\n")
    (root / "etc/resolv.conf").write_text("the image's own\n")
    before = state(root)
    assert "own" not in says(rootfs, "cat /etc/resolv.conf /dev/null")
    assert state(root) == before


def test_the_runs_own_work_beside_a_stub_counts(root: Path, rootfs: Rootfs) -> None:
    says(rootfs, "touch /etc/new; chmod 711 /etc; touch -d @1000 /etc")
    assert not (root / "etc/resolv.conf").exists()
    assert (root / "etc").stat().st_mode & 0o777 == 0o711
    assert (root / "etc").stat().st_mtime == 1000
    assert (root / "etc/new").exists()


def test_a_directory_made_for_a_stub_stays_if_the_run_uses_it(tmp_path: Path, root: Path) -> None:
    os.rename(root / "etc", root / "old")
    rootfs = Rootfs(os.fsencode(root))
    says(rootfs, "test -d /etc")
    assert not (root / "etc").exists()
    says(rootfs, "echo x > /etc/motd")
    assert os.listdir(root / "etc") == ["motd"]


def test_a_moved_directory_takes_no_stub_along(root: Path, rootfs: Rootfs) -> None:
    says(rootfs, "mv /etc /moved")
    assert sorted(os.listdir(root / "moved")) == ["group", "passwd"]
    assert not (root / "etc").exists()


def test_a_link_for_resolv_conf_is_followed_inside(root: Path, rootfs: Rootfs, tmp_path: Path) -> None:
    (root / "etc/resolv.conf").symlink_to("/run/resolve/stub.conf")
    before = state(root)
    with open("/etc/resolv.conf") as file:
        assert says(rootfs, "cat /run/resolve/stub.conf") == file.read()
    assert state(root) == before


@pytest.mark.parametrize("climb", ["/", "../" * 30])
def test_a_link_for_resolv_conf_does_not_lead_out(root: Path, rootfs: Rootfs, tmp_path: Path, climb: str) -> None:
    outside = tmp_path / "outside"
    (root / "etc/resolv.conf").symlink_to(climb + os.fspath(outside).lstrip("/"))
    before = state(root)
    says(rootfs, "grep -q . /etc/resolv.conf")
    assert not outside.exists()
    assert state(root) == before


def test_a_link_from_resolv_conf_into_dev_covers_no_device(root: Path, rootfs: Rootfs) -> None:
    (root / "etc/resolv.conf").symlink_to("/dev/null")
    before = state(root)
    assert says(rootfs, "test -c /dev/null; echo x > /dev/null; cat /dev/null") == ""
    assert state(root) == before


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_a_link_for_a_mount_point_is_refused(root: Path, rootfs: Rootfs, name: str) -> None:
    (root / name).symlink_to("/etc")
    before = state(root)
    with pytest.raises(RunError, match=f"/{name}: a RUN needs a directory"):
        attempt(rootfs, "true")
    assert state(root) == before


def test_a_directory_for_resolv_conf_is_refused(root: Path, rootfs: Rootfs) -> None:
    (root / "etc/resolv.conf").mkdir()
    before = state(root)
    with pytest.raises(RunError, match=r"/etc/resolv\.conf: a RUN needs a file"):
        attempt(rootfs, "true")
    assert state(root) == before


def test_stubs_go_also_when_the_command_cannot_start(root: Path, rootfs: Rootfs) -> None:
    before = state(root)
    spec = RunSpec([b"no-such"], [], b"/", mounts=[Mount.file(b"/a/b/c", b"x")])
    with pytest.raises(FileNotFoundError) as caught:
        spawn(rootfs, spec, 1, 2)
    assert getattr(caught.value, "operation", None) == "execve"
    assert caught.value.filename == b"no-such"
    assert state(root) == before


@pytest.mark.parametrize("number", [2**32 - 1])
def test_an_id_that_means_unchanged_to_the_kernel_is_refused(rootfs: Rootfs, number: int) -> None:
    for ids in ({"uid": number}, {"gid": number}, {"groups": [number]}):
        with pytest.raises(ValueError, match="no user or group ID"):
            spawn(rootfs, RunSpec([b"true"], [b"PATH=/bin"], b"/", **ids), 1, 2)
