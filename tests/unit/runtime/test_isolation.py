"""What a RUN sees, and what it does not."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from fswatch_builder._native import Rootfs
from fswatch_builder.runtime.run import Command, run
from tests.support.rootfs import busybox_rootfs
from tests.support.running import Recorder, attempt, says, shell

pytestmark = pytest.mark.root

DOCKER_DEFAULT_CAPABILITIES = 0x00000000A80425FB


def lines(rootfs: Rootfs, script: str, *, user: str = "") -> list[str]:
    return says(rootfs, script, user=user).splitlines()


def capabilities(rootfs: Rootfs, user: str) -> dict[str, int]:
    found = (line.split() for line in lines(rootfs, "grep ^Cap /proc/self/status", user=user))
    return {name.rstrip(":"): int(value, 16) for name, value in found}


def test_the_environment_is_exact(rootfs: Rootfs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    recorder = Recorder()
    run(rootfs, Command(("env",), ("PATH=/bin", "A=1", "A=2", "EMPTY=", "HOME=/h"), "/"), recorder)
    assert recorder.text().splitlines() == ["PATH=/bin", "A=1", "A=2", "EMPTY=", "HOME=/h"]


def test_home_and_path_have_defaults(rootfs: Rootfs) -> None:
    recorder = Recorder()
    run(rootfs, Command(("env",), (), "/", user="app"), recorder)
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert recorder.text().splitlines() == [path, "HOME=/home/app"]


def test_no_descriptor_of_the_builder_is_passed_on(rootfs: Rootfs) -> None:
    with open("/etc/passwd", "rb") as file:
        os.set_inheritable(file.fileno(), True)
        # 3 is the directory that ls itself has open.
        assert lines(rootfs, "ls /proc/self/fd") == ["0", "1", "2", "3"]


def test_standard_input_is_empty(rootfs: Rootfs) -> None:
    assert says(rootfs, "cat; readlink /proc/self/fd/0") == "/dev/null\n"


def test_root_has_dockers_capabilities_and_none_to_inherit(rootfs: Rootfs) -> None:
    allowed = DOCKER_DEFAULT_CAPABILITIES
    expected = {"CapInh": 0, "CapPrm": allowed, "CapEff": allowed, "CapBnd": allowed, "CapAmb": 0}
    assert capabilities(rootfs, "") == expected


def test_a_user_has_no_capabilities(rootfs: Rootfs) -> None:
    expected = {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": DOCKER_DEFAULT_CAPABILITIES, "CapAmb": 0}
    assert capabilities(rootfs, "app") == expected


def test_a_user_has_exactly_its_groups(rootfs: Rootfs) -> None:
    script = "grep -E '^(Uid|Gid|Groups)' /proc/self/status"
    found = {line.split(":")[0]: line.split()[1:] for line in lines(rootfs, script, user="app")}
    assert found == {"Uid": ["1000"] * 4, "Gid": ["1000"] * 4, "Groups": ["50", "63", "1000"]}


def test_a_group_in_user_is_the_only_one(rootfs: Rootfs) -> None:
    script = "grep -E '^(Gid|Groups)' /proc/self/status"
    found = {line.split(":")[0]: line.split()[1:] for line in lines(rootfs, script, user="app:audio")}
    assert found == {"Gid": ["63"] * 4, "Groups": ["63"]}


def test_a_setuid_program_works(root: Path, rootfs: Rootfs) -> None:
    # Busybox drops what a setuid bit gives it; ldconfig is static too, and writes to /etc, where the user may not.
    program = root / "bin/ldconfig"
    program.write_bytes(Path("/sbin/ldconfig").read_bytes())
    program.chmod(0o755)
    outcome, _ = attempt(rootfs, "ldconfig", user="app")
    assert outcome.exit_code == 1
    program.chmod(0o4755)
    assert says(rootfs, "ldconfig; stat -c %u /etc/ld.so.cache", user="app") == "0\n"


def test_mount_flags_of_the_store_do_not_reach_the_command(tmp_path: Path) -> None:
    # /tmp and /home are often noexec or nosuid: no concern of an image.
    store = tmp_path / "store"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,noexec,mode=755", "none", store], check=True)
    try:
        busybox_rootfs(os.fsencode(store / "root"))
        assert says(Rootfs(os.fsencode(store / "root")), "awk '$5 == \"/\" {print $6}' /proc/self/mountinfo") == (
            "rw,nodev,relatime\n"
        )
    finally:
        subprocess.run(["umount", "-l", store], check=True)


@pytest.mark.parametrize("path", ["/proc/sys/kernel/domainname", "/proc/irq/default_smp_affinity"])
def test_kernel_settings_are_read_only(rootfs: Rootfs, path: str) -> None:
    outcome, _ = attempt(rootfs, f"echo x > {path}")
    assert outcome.exit_code == 1
    assert "Read-only file system" in outcome.tail


def test_sys_is_read_only(rootfs: Rootfs) -> None:
    outcome, _ = attempt(rootfs, "echo 1 > /sys/kernel/uevent_seqnum || mkdir /sys/x")
    assert outcome.exit_code == 1
    assert "Read-only file system" in outcome.tail


def test_what_tells_about_the_host_is_masked(rootfs: Rootfs) -> None:
    assert says(
        rootfs, "cat /proc/keys /proc/timer_list; ls -A /sys/firmware /proc/acpi 2>/dev/null | tr -d '\\n'"
    ) in (
        "",
        "/proc/acpi:/sys/firmware:",
    )


def test_dev_has_the_minimal_devices(rootfs: Rootfs) -> None:
    names = ["fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty"]
    assert lines(rootfs, "ls /dev") == [*names, "urandom", "zero"]
    assert (
        says(rootfs, "head -c 3 /dev/zero | od -An -tx1; echo x > /dev/null; echo y > /dev/stdout") == " 00 00 00\ny\n"
    )
    assert says(rootfs, "head -c 8 /dev/urandom | wc -c; echo 2>/dev/full >/dev/full || echo full") == "8\nfull\n"
    assert says(rootfs, "df -k /dev/shm | tail -1 | awk '{print $2}'") == "65536\n"


def test_a_pseudo_terminal_can_be_opened(rootfs: Rootfs) -> None:
    assert says(rootfs, "exec 3<>/dev/ptmx; ls /dev/pts") == "0\nptmx\n"


def test_a_device_node_that_the_command_makes_opens_nothing(rootfs: Rootfs) -> None:
    # There is no device cgroup: without nodev this would be the host's memory of devices, its disks included.
    for directory in ("/tmp", "/dev", "/dev/shm"):
        outcome, recorder = attempt(rootfs, f"mknod {directory}/mine c 1 5 && head -c 1 {directory}/mine")
        assert outcome.exit_code == 1
        assert "Permission denied" in outcome.tail
        assert recorder.text() == ""


def test_a_changed_device_is_not_the_hosts(rootfs: Rootfs) -> None:
    before = os.stat("/dev/null").st_mode
    assert says(rootfs, "chmod 600 /dev/null; stat -c %a /dev/null") == "600\n"
    assert os.stat("/dev/null").st_mode == before


def test_the_command_is_the_first_process_and_sees_no_other(rootfs: Rootfs) -> None:
    assert lines(rootfs, "echo $$; echo /proc/[0-9]*") == ["1", "/proc/1"]


def test_the_host_name_is_its_own(rootfs: Rootfs) -> None:
    before = socket.gethostname()
    assert says(rootfs, "hostname") == "buildkitsandbox\n"
    command = Command(("hostname",), ("PATH=/bin",), "/", hostname="builder")
    recorder = Recorder()
    run(rootfs, command, recorder)
    assert recorder.text() == "builder\n"
    assert socket.gethostname() == before


def test_namespaces_are_its_own_but_for_the_network(rootfs: Rootfs) -> None:
    names = ("mnt", "pid", "ipc", "uts", "net", "user")
    script = f"for name in {' '.join(names)}; do readlink /proc/self/ns/$name; done"
    inside = dict(zip(names, lines(rootfs, script), strict=True))
    shared = {name for name in names if inside[name] == os.readlink(f"/proc/self/ns/{name}")}
    assert shared == {"net", "user"}


def test_no_file_of_the_host_is_in_view(root: Path, rootfs: Rootfs, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    for path in (f"{tmp_path}/secret", "/../../secret", "/proc/1/root/../secret", "/proc/1/cwd/../../secret"):
        outcome, _ = attempt(rootfs, f"cat {path}")
        assert outcome.exit_code == 1
        assert "No such file" in outcome.tail
    assert sorted(os.listdir(root)) == lines(rootfs, "ls / | grep -vE '^(dev|proc|sys)$'")


def test_nothing_is_mounted_but_what_a_run_needs(rootfs: Rootfs) -> None:
    mounts = lines(rootfs, "awk '{print $5}' /proc/self/mountinfo")
    ours = ("/proc", "/sys", "/dev")
    assert sorted(mount for mount in mounts if not mount.startswith(ours)) == ["/", "/etc/hosts", "/etc/resolv.conf"]


def test_nothing_can_be_mounted(rootfs: Rootfs) -> None:
    outcome, _ = attempt(rootfs, "mount -t tmpfs none /tmp")
    assert outcome.exit_code != 0


def test_ignored_signals_are_not_inherited(rootfs: Rootfs) -> None:
    # Python ignores SIGPIPE; a pipeline relies on it.
    recorder = Recorder()
    run(rootfs, Command(("grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"), ("PATH=/bin",), "/"), recorder)
    assert recorder.text().split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16]
    assert says(rootfs, "yes | head -n 1") == "y\n"


def test_the_umask_is_the_usual_one(rootfs: Rootfs) -> None:
    before = os.umask(0o077)
    try:
        assert says(rootfs, "umask") == "0022\n"
    finally:
        os.umask(before)


def test_there_is_no_controlling_terminal_and_a_session_of_its_own(rootfs: Rootfs) -> None:
    assert says(rootfs, "awk '{print $6}' /proc/1/stat") == "1\n"
    outcome, _ = attempt(rootfs, ": < /dev/tty")
    assert outcome.exit_code != 0


def test_new_privileges_are_allowed(rootfs: Rootfs) -> None:
    assert says(rootfs, "grep NoNewPrivs /proc/self/status").split() == ["NoNewPrivs:", "0"]


def test_the_working_directory_is_entered(rootfs: Rootfs) -> None:
    recorder = Recorder()
    run(rootfs, shell("pwd", cwd="/home/app"), recorder)
    assert recorder.text() == "/home/app\n"


def test_host_and_resolver_files_are_there_and_read_only(rootfs: Rootfs) -> None:
    assert "localhost buildkitsandbox" in says(rootfs, "cat /etc/hosts")
    with open("/etc/resolv.conf") as file:
        assert says(rootfs, "cat /etc/resolv.conf") == file.read()
    outcome, _ = attempt(rootfs, "echo x >> /etc/hosts")
    assert "Read-only file system" in outcome.tail


def test_a_user_namespace_of_its_own_uncovers_nothing(rootfs: Rootfs) -> None:
    attempts = [
        "mkdir -p /m",
        "mount -t tmpfs t /m && echo works",  # so the namespace does give rights, over what is its own
        "mount -t proc p /m && echo proc",
        "mount -t sysfs s /m && echo sysfs",
        "umount /proc/sys && echo writable",
        "umount /sys/firmware && echo firmware",
        "mount -o remount,bind,rw /proc/sys && echo remounted",
        "mount -o remount,bind,dev / && echo devices",
    ]
    inner = "; ".join(attempts)
    assert says(rootfs, f"unshare -Urmn sh -c '({inner}) 2>/dev/null; true'") == "works\n"
