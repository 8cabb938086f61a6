"""The command line's part of RUN: secrets, agents, hosts and limits, from the shell to what a RUN sees."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builds import Workshop
from tests.support.cli import fswatch_builder
from tests.support.dynamic import copy_program

pytestmark = pytest.mark.root


def build(
    workshop: Workshop,
    lines: str,
    *arguments: str,
    env: dict[str, str] | None = None,
    stdin: str = "",
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    workshop.write("Dockerfile", f"FROM base\n{lines}\n")
    return fswatch_builder(
        "build",
        f"--store={workshop.store}",
        f"--build-context=base={workshop.base}",
        "--progress=plain",
        *arguments,
        str(workshop.context),
        env=env,
        stdin=stdin,
        check=check,
    )


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "socket"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it listens
        key = tmp_path / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the key", "-f", key], check=True)
        environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
        subprocess.run(["ssh-add", "-q", key], check=True, env=environment)
        yield path
    finally:
        process.terminate()
        process.communicate()


def test_w4_an_agent_is_lent_to_the_runs_that_ask_for_it(workshop: Workshop, agent: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    copy_program("ssh-add", tools)
    mounts = " ".join(f"--mount=from=tools,source={name},target=/{name}" for name in os.listdir(tools))
    lines = (
        f"USER app\nRUN {mounts} --mount=type=ssh,uid=1000 echo $SSH_AUTH_SOCK; ssh-add -l; ! ssh-add -D\n"
        f"RUN {mounts} --mount=type=ssh,id=other,target=/tmp/s,uid=1000,required SSH_AUTH_SOCK=/tmp/s ssh-add -l\n"
        "RUN ls /run 2>&1; echo ${SSH_AUTH_SOCK-unset}\n"
    )
    path = "ENV PATH=/bin:/usr/bin\n"
    shown = build(
        workshop,
        path + lines,
        "--ssh=default",
        f"--ssh=other={agent}",
        f"--build-context=tools={tools}",
        env={"SSH_AUTH_SOCK": str(agent)},
    ).stderr
    assert shown.count("the key (ED25519)") == 2
    assert "/run/buildkit/ssh_agent.0" in shown
    assert "No such file" in shown
    assert " unset" in shown


def test_an_agent_that_is_not_lent_is_an_error_if_it_is_required(workshop: Workshop) -> None:
    done = build(workshop, "RUN --mount=type=ssh,required true", check=False)
    assert done.returncode == 2
    assert "ERROR: ssh agent default: not found" in done.stderr
    assert "hint: lend one with --ssh default" in done.stderr
    assert "at " in done.stderr
    assert build(workshop, "RUN --mount=type=ssh true").returncode == 0


def test_secrets_come_from_files_pipes_and_the_environment(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from a file")
    lines = (
        "RUN --mount=type=secret,id=a --mount=type=secret,id=b --mount=type=secret,id=NAMED,env=C"
        " wc -c </run/secrets/a; wc -c </run/secrets/b; echo ${#C}\n"
        "RUN --mount=type=secret,id=b wc -c </run/secrets/b"
    )
    arguments = (f"--secret=id=a,src={tmp_path}/file", "--secret=id=b,src=/dev/stdin", "--secret=id=NAMED")
    done = build(workshop, lines, *arguments, env={"NAMED": "from the environment"}, stdin="from a pipe")
    printed = [line.rpartition(" ")[2] for line in done.stderr.splitlines()]
    assert [word for word in printed if word.isdecimal()] == ["11", "11", "20", "11"]
    assert "from a file" not in done.stderr
    assert "from a pipe" not in done.stderr


def test_hosts_network_shm_and_limits_reach_a_run(workshop: Workshop) -> None:
    lines = "RUN grep db /etc/hosts; ls /sys/class/net; df -k /dev/shm | tail -n 1; ulimit -n"
    shown = build(
        workshop, lines, "--add-host=db:10.1.2.3", "--network=none", "--shm-size=1m", "--ulimit=nofile=99"
    ).stderr
    assert "10.1.2.3\tdb" in shown
    assert " lo\n" in shown
    assert " 1024 " in shown
    assert " 99\n" in shown


def test_what_is_allowed_on_the_command_line_is_allowed(workshop: Workshop) -> None:
    done = build(workshop, "RUN --security=insecure true", check=False)
    assert done.returncode == 3
    assert "entitlement security.insecure is not allowed" in done.stderr
    assert "hint: if that is what you want: --allow security.insecure" in done.stderr
    assert build(workshop, "RUN --security=insecure true", "--allow=security.insecure").returncode == 0
