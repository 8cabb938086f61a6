"""What is mounted for a RUN: where it goes, what it may do there, and that no trace is left (hazards B2, L5, L9)."""

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from fswatch_builder._native import Mount, Rootfs
from fswatch_builder.errors import RunError, SandboxError
from fswatch_builder.model.sandbox import Network, SandboxOptions, Ulimit
from tests.support.running import attempt, says
from tests.unit.runtime.test_mount_points import state

pytestmark = pytest.mark.root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "f").write_text("of the source\n")
    (source / "link").symlink_to("/etc")
    return source


def tree(target: str, source: Path, path: str = "", *, writable: bool = False) -> Mount:
    return Mount.tree(os.fsencode(target), Rootfs(os.fsencode(source)), os.fsencode(path), writable=writable)


def file(target: str, content: str = "mounted\n") -> Mount:
    return Mount.file(os.fsencode(target), content.encode())


def tmpfs(target: str, *, size: int | None = None, writable: bool = True) -> Mount:
    return Mount.tmpfs(os.fsencode(target), size=size, writable=writable)


def test_each_kind_is_seen_and_leaves_no_trace(root: Path, rootfs: Rootfs, source: Path) -> None:
    before, before_source = state(root), state(source)
    mounts = (tree("/a/b", source), tree("/f", source, "f"), tmpfs("/t"), file("/g/h"))
    assert says(rootfs, "cat /a/b/f /f /g/h; ls /t; echo x >/t/x", mounts=mounts) == (
        "of the source\nof the source\nmounted\n"
    )
    assert state(root) == before
    assert state(source) == before_source


def test_what_is_covered_is_back_afterwards(root: Path, rootfs: Rootfs, source: Path) -> None:
    (root / "d").mkdir()
    (root / "d/own").write_text("own\n")
    before = state(root)
    mounts = (tree("/d", source, writable=True), file("/etc/passwd", "app:x:7:7::/:/bin/sh\n"))
    assert says(rootfs, "ls /d; cat /etc/passwd; echo y >/d/new", mounts=mounts).startswith("d\nf\nlink\napp:x:7")
    assert state(root) == before
    assert (source / "new").read_text() == "y\n"


@pytest.mark.parametrize(
    "script", ["echo x >/m/f", "rm /m/f", "chmod 777 /m", "mkdir /m/new", "mount -o remount,rw /m"]
)
def test_a_read_only_one_cannot_be_written(rootfs: Rootfs, source: Path, script: str) -> None:
    before = state(source)
    outcome, _ = attempt(rootfs, script, mounts=(tree("/m", source),))
    assert outcome.exit_code != 0
    assert state(source) == before


def test_a_read_only_tmpfs_and_a_small_one(rootfs: Rootfs) -> None:
    full = "dd if=/dev/zero of=/t/f bs=1k count=2000 2>/dev/null || wc -c </t/f"
    assert int(says(rootfs, full, mounts=(tmpfs("/t", size=1 << 20),))) == 1 << 20
    assert attempt(rootfs, "touch /t/f", mounts=(tmpfs("/t", writable=False),))[0].exit_code != 0


def test_a_device_in_a_mount_opens_nothing(rootfs: Rootfs, source: Path) -> None:
    os.mknod(source / "null", 0o20666, os.makedev(1, 3))
    for mounts in ((tree("/m", source, writable=True),), (tree("/m", source),), (tree("/m/null", source, "null"),)):
        assert attempt(rootfs, "echo x >/m/null", mounts=mounts)[0].exit_code != 0


@pytest.mark.parametrize("climb", ["/inner", "inner", "../../../../inner"])
def test_a_target_through_a_link_stays_inside(root: Path, rootfs: Rootfs, source: Path, climb: str) -> None:
    (root / "inner").mkdir()
    (root / "link").symlink_to(climb)
    before = state(root)
    assert says(rootfs, "cat /inner/x/y/f", mounts=(tree("/link/x/y", source),)) == "of the source\n"
    assert state(root) == before


def test_l5_a_link_to_the_host_leads_nowhere(root: Path, rootfs: Rootfs, source: Path, tmp_path: Path) -> None:
    (root / "link").symlink_to(tmp_path / "outside")
    before = state(root)
    says(rootfs, "cat /link/f", mounts=(tree("/link", source),))
    assert not (tmp_path / "outside").exists()
    assert state(root) == before


def test_nested_ones_are_mounted_parents_first_whatever_their_order(root: Path, rootfs: Rootfs, source: Path) -> None:
    before = state(source)
    mounts = (file("/m/n/f"), tree("/m", source, writable=True), tmpfs("/m/d/t"), file("/m/d/t/deep/f", "deep\n"))
    found = says(rootfs, "cat /m/f /m/n/f /m/d/t/deep/f; echo x >/m/d/t/x", mounts=mounts)
    assert found == "of the source\nmounted\ndeep\n"
    assert state(source) == before


def test_a_link_in_a_mount_is_followed_as_the_run_sees_it(rootfs: Rootfs, source: Path) -> None:
    mounts = (tree("/m", source, writable=True), file("/m/link/resolv.conf", "through\n"))
    assert says(rootfs, "cat /etc/resolv.conf", mounts=mounts) == "through\n"


def test_a_place_that_a_read_only_mount_lacks_is_an_error(root: Path, rootfs: Rootfs, source: Path) -> None:
    before = state(root), state(source)
    with pytest.raises(RunError, match="/m/new: nothing can be mounted here: it is in a read-only mount that lacks it"):
        attempt(rootfs, "true", mounts=(tree("/m", source), file("/m/new")))
    assert (state(root), state(source)) == before
    assert says(rootfs, "cat /m/f", mounts=(tree("/m", source), file("/m/f"))) == "mounted\n"


def test_of_two_with_one_target_the_later_is_on_top(root: Path, rootfs: Rootfs, source: Path) -> None:
    before = state(root)
    assert says(rootfs, "ls /m", mounts=(tree("/m", source), tmpfs("/m"))) == ""
    assert says(rootfs, "cat /m/f", mounts=(tmpfs("/m"), tree("/m", source))) == "of the source\n"
    assert says(rootfs, "cat /f", mounts=(file("/f", "1\n"), file("/f", "2\n"))) == "2\n"
    assert state(root) == before


@pytest.mark.parametrize("name", ["resolv.conf", "hosts"])
def test_a_mount_over_a_file_of_ours_wins(root: Path, rootfs: Rootfs, name: str) -> None:
    before = state(root)
    assert says(rootfs, f"cat /etc/{name}", mounts=(file(f"/etc/{name}"),)) == "mounted\n"
    assert "localhost" in says(rootfs, "cat /etc/hosts; echo x >/etc/x", mounts=(tmpfs("/etc"),))
    assert says(rootfs, "ls /etc", mounts=(tmpfs("/etc", writable=False),)) == ""
    assert state(root) == before


@pytest.mark.parametrize(("target", "cause"), [("/" + "x" * 300, "File name too long"), ("/loop/x", "Too many levels")])
def test_a_target_that_leads_nowhere_is_the_run_s_error_and_not_the_host_s(
    root: Path, rootfs: Rootfs, target: str, cause: str
) -> None:
    (root / "loop").symlink_to("loop")
    before = state(root)
    with pytest.raises(RunError, match=f"cannot run here: {target}: {cause}"):
        attempt(rootfs, "true", mounts=(tmpfs(target),))
    assert state(root) == before


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/proc",
        "/proc/1",
        "/proc/sys/kernel",
        "/sys",
        "/sys/fs/cgroup",
        "/dev",
        "/dev/null",
        "/dev/pts/0",
        "/dev/fd",
    ],
)
def test_the_sandbox_s_own_places_are_refused(root: Path, rootfs: Rootfs, source: Path, target: str) -> None:
    before = state(root)
    with pytest.raises(RunError, match="has its own /, /proc, /sys and /dev"):
        attempt(rootfs, "true", mounts=(tree(target, source),))
    assert state(root) == before


def test_other_names_in_dev_can_be_mounted(root: Path, rootfs: Rootfs, source: Path) -> None:
    (root / "dev").mkdir()
    (root / "dev/x").symlink_to("/etc")  # never seen, so never followed
    before = state(root)
    mounts = (tree("/dev/x/y", source), file("/dev/x/g"), tmpfs("/dev/shm", size=1 << 20), file("/dev/shm/s/f"))
    found = says(rootfs, "cat /dev/x/y/f /dev/x/g /dev/shm/s/f; df -k /dev/shm | tail -n 1", mounts=mounts)
    assert found.startswith("of the source\nmounted\nmounted\n")
    assert " 1024 " in found
    assert state(root) == before


@pytest.mark.parametrize(
    ("existing", "mounted"), [("file", "directory"), ("directory", "file"), ("below a file", "directory")]
)
def test_kinds_that_do_not_fit_are_an_error(
    root: Path, rootfs: Rootfs, source: Path, existing: str, mounted: str
) -> None:
    if existing == "directory":
        (root / "x").mkdir()
    else:
        (root / "x").touch()
    before = state(root)
    target = "/x/y" if existing == "below a file" else "/x"
    with pytest.raises(RunError, match="/x: a RUN needs a"):
        attempt(rootfs, "true", mounts=(tree(target, source) if mounted == "directory" else file(target),))
    assert state(root) == before


def test_what_a_run_does_around_a_mount_point_is_its_own_and_the_point_is_not(
    root: Path, rootfs: Rootfs, source: Path
) -> None:
    script = "echo x >/a/mine; mv /a /moved; mkdir /a; ! rmdir /moved/b; ! mv /moved/b /moved/c; ! ln /moved/g /l"
    says(rootfs, script, mounts=(tree("/a/b", source), file("/a/g")))
    assert os.listdir(root / "moved") == ["mine"]
    assert os.listdir(root / "a") == []


def test_a_parent_that_cannot_be_removed_stays_as_long_as_it_is_needed(
    root: Path, rootfs: Rootfs, source: Path
) -> None:
    before = state(root)
    says(rootfs, "! rm -r /a", mounts=(tree("/a/b", source),))
    assert {name: value for name, value in state(root).items() if name != "."} == {
        name: value for name, value in before.items() if name != "."
    }


#: Only without the sandbox can a RUN reach what is below a mount.
HOSTILE = {
    "replaced": ("umount /a/s && rm /a/s && echo x >/a/s", ["s"]),
    "replaced by the like": ("umount /a/s && rm /a/s && touch /a/s && chmod 644 /a/s", ["s"]),
    "renamed": ("umount /a/s && mv /a/s /a/t", ["t"]),
    "filled": ("umount /a/s && echo x >/a/s", ["s"]),
    "linked": ("umount /a/s && ln /a/s /a/t", ["t"]),
    "left": ("umount /a/s", None),
    "gone with its parent": ("umount /a/s && rm -r /a", None),
    "gone, and its parent made anew": ("umount /a/s && rm -r /a && mkdir /a && touch /a/s", ["s"]),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_l9_what_a_run_without_a_sandbox_does_to_a_mount_point_is_its_own(
    root: Path, rootfs: Rootfs, tmp_path: Path, case: str
) -> None:
    script, left = HOSTILE[case]
    outside = tmp_path / "outside"
    outside.write_text("x\n")
    says(rootfs, script, mounts=(file("/a/s"),), security="insecure")
    assert (sorted(os.listdir(root / "a")) if (root / "a").exists() else None) == left
    assert outside.read_text() == "x\n"


def test_without_a_sandbox_there_are_all_capabilities_and_nothing_is_hidden(rootfs: Rootfs) -> None:
    script = (
        "grep CapEff /proc/self/status; mkdir -p /m; mount -t tmpfs x /m && touch /m/f;"
        " mknod /dev/z c 1 5 && head -c1 /dev/z | wc -c"
    )
    found = says(rootfs, script, security="insecure")
    with open("/proc/self/status") as status:
        (ours,) = (line for line in status if line.startswith("CapEff"))
    assert found.splitlines() == [ours.rstrip("\n"), "1"]
    assert says(rootfs, "mount -t tmpfs x /m 2>/dev/null || echo refused") == "refused\n"


def test_r6_no_network_is_a_loopback_device_that_is_up(rootfs: Rootfs) -> None:
    found = says(
        rootfs, "ip -o link; ls /sys/class/net; ping -c 1 -W 5 127.0.0.1 >/dev/null && echo alive", network="none"
    )
    assert [line.split(": ")[1] for line in found.splitlines() if ": " in line] == ["lo"]
    assert found.endswith("lo\nalive\n")


@pytest.mark.parametrize(("network", "reached"), [("none", False), ("default", True), ("host", True)])
def test_r6_without_network_what_listens_on_the_host_is_out_of_reach(
    rootfs: Rootfs, network: Network, reached: bool
) -> None:
    met: list[bool] = []

    def meet() -> None:
        with suppress(OSError):
            server.accept()[0].close()
            met.append(True)

    with socket.socket(socket.AF_INET) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        thread = threading.Thread(target=meet)
        thread.start()
        says(rootfs, f"nc 127.0.0.1 {server.getsockname()[1]} </dev/null; true", network=network)
        if not reached:
            server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert bool(met) == reached


def test_r8_a_limit_that_the_kernel_refuses_is_told_as_what_it_is(rootfs: Rootfs) -> None:
    options = SandboxOptions(ulimits=(Ulimit("nofile", 1 << 40, 1 << 40),))
    with pytest.raises(SandboxError, match="the limits of --ulimit cannot be set") as caught:
        attempt(rootfs, "true", options=options)
    assert "fs.nr_open" in (caught.value.hint or "")


def test_r8_hosts_limits_and_the_size_of_shm(rootfs: Rootfs) -> None:
    options = SandboxOptions(
        hosts=(("db.test", "10.0.0.7"), ("v6.test", "::2")),
        shm_size=2 << 20,
        ulimits=(Ulimit("nofile", 64, 128), Ulimit("core", 0, None), Ulimit("nproc", 77, 77)),
    )
    script = (
        "grep test /etc/hosts; df -k /dev/shm | tail -n 1; ulimit -Sn; ulimit -Hn;"
        " grep -E 'core|processes' /proc/self/limits"
    )
    lines = says(rootfs, script, options=options).splitlines()
    assert lines[:2] == ["10.0.0.7\tdb.test", "::2\tv6.test"]
    assert lines[2].split()[1] == "2048"
    assert lines[3:5] == ["64", "128"]
    assert [line.split()[-3:-1] for line in lines[5:]] == [["0", "unlimited"], ["77", "77"]]
    assert says(rootfs, "df -k /dev/shm | tail -n 1").split()[1] == "65536"
