"""Cause and cure, in the order in which they have to be dealt with."""

import os
from pathlib import Path

import pytest

from fswatch_builder.errors import SandboxError
from fswatch_builder.runtime import host

USER = 54321


class Machine:
    """A host on which everything is ready for an ordinary user."""

    def __init__(self, directory: Path) -> None:
        self.proc = directory / "proc"
        self.etc = directory / "etc"
        self.tools = {"newuidmap", "newgidmap"}
        self.etc.mkdir()
        self.sysctl("user/max_user_namespaces", "15000")
        for name in ("subuid", "subgid"):
            (self.etc / name).write_text(f"other:1:1\n{USER}:100000:65536\n")

    def sysctl(self, name: str, value: str) -> None:
        file = self.proc / "sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")

    def check(self, uid: int = USER) -> None:
        host.check(uid=uid, proc=self.proc, etc=self.etc, which=lambda tool: tool if tool in self.tools else None)

    def refusal(self) -> SandboxError:
        with pytest.raises(SandboxError) as caught:
            self.check()
        return caught.value


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_causes_are_told_in_the_order_of_their_cure(machine: Machine) -> None:
    machine.sysctl("user/max_user_namespaces", "0")
    machine.sysctl("kernel/unprivileged_userns_clone", "0")
    machine.sysctl("kernel/apparmor_restrict_unprivileged_userns", "1")
    machine.tools.clear()
    (machine.etc / "subuid").unlink()
    (machine.etc / "subgid").write_text(f"{USER}:100000:0\n")

    def told(cause: str, cure: str) -> None:
        error = machine.refusal()
        assert cause in error.what
        assert cure in (error.hint or "")

    told("switched off", "sysctl user.max_user_namespaces")
    machine.sysctl("user/max_user_namespaces", "1")
    told("kept from ordinary users", "sysctl kernel.unprivileged_userns_clone=1")
    machine.sysctl("kernel/unprivileged_userns_clone", "1")
    told("AppArmor", "apparmor_restrict_unprivileged_userns=0")
    machine.sysctl("kernel/apparmor_restrict_unprivileged_userns", "0")
    told("newuidmap and newgidmap not found", "apt install uidmap")
    machine.tools.add("newuidmap")
    told("newgidmap not found", "apt install uidmap")
    machine.tools.add("newgidmap")
    told("subuid", f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {USER}")
    (machine.etc / "subuid").write_text(f"{USER}:100000:65536\n")
    told("subgid", "usermod")
    (machine.etc / "subgid").write_text(f"{USER}:100000:65536\n")
    told("not supported yet", "as root")


def test_what_this_kernel_does_not_have_is_no_obstacle(machine: Machine) -> None:
    assert "not supported yet" in machine.refusal().what


def test_root_without_the_right_to_mount_is_told(machine: Machine) -> None:
    status = machine.proc / "self/status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tx\nCapEff:\t00000000a80425fb\n")
    with pytest.raises(SandboxError, match="CAP_SYS_ADMIN") as caught:
        machine.check(uid=0)
    assert "--privileged" in (caught.value.hint or "")
    status.write_text("Name:\tx\nCapEff:\t000001ffffffffff\n")
    machine.check(uid=0)


@pytest.mark.root
def test_real_root_passes() -> None:
    host.check()


def test_a_real_user_is_refused_with_a_way_out() -> None:
    with pytest.raises(SandboxError) as caught:
        host.check(uid=os.geteuid() or USER)
    assert caught.value.hint


def test_a_host_without_a_resolver_gives_none(tmp_path: Path) -> None:
    assert host.resolv_conf(tmp_path) == b""
    (tmp_path / "resolv.conf").write_bytes(b"nameserver 127.0.0.53\n")
    assert host.resolv_conf(tmp_path) == b"nameserver 127.0.0.53\n"
