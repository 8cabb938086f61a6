"""Repositories by ssh and by git's own protocol: servers of our own on the loopback, their users and keys made up.

The builder looks for known hosts where passwd says root is at home. So both run in a mount namespace in which passwd
says something else: nothing of this machine is changed.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.registry import need
from tests.support.web import Repository, Web

pytestmark = pytest.mark.root

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")


@dataclass(frozen=True)
class House:
    """A directory in which everybody is at home."""

    path: Path
    port: int

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        script = f"""
            set -e
            mount --bind {self.path}/passwd /etc/passwd
            mount -t tmpfs tmpfs /run
            mkdir /run/sshd
            mkfifo {self.path}/log
            {SSHD} -D -e -f {self.path}/sshd_config 2>{self.path}/log &
            exec 3<{self.path}/log
            read -r ready <&3  # it listens, or says why not
            echo "$ready" >&2
            set +e
            "$@"
            code=$?
            kill $!
            rm {self.path}/log
            exit $code
        """
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *command],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    need("git")
    return Repository(Web("", tmp_path / "repositories"), "r")


@pytest.fixture
def house(tmp_path: Path) -> House:
    need("ssh-agent", "ssh-keygen", "unshare")
    if SSHD is None:
        need("sshd")
    path = tmp_path / "house"
    (path / ".ssh").mkdir(parents=True, mode=0o700)
    for name in ("host", "key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (path / "passwd").write_text(f"root:x:0:0::{path}:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n")
    (path / "authorized").write_text((path / "key.pub").read_text())
    host = (path / "host.pub").read_text().split()
    (path / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {host[0]} {host[1]}\n")
    (path / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {path}/host\nPidFile {path}/pid\n"
        f"AuthorizedKeysFile {path}/authorized\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
    )
    return House(path, port)


@contextmanager
def agent(house: House, key: str) -> Iterator[str]:
    """An agent that has one key: its socket."""
    socket_ = f"{house.path}/{key}.sock"
    running = subprocess.Popen(["ssh-agent", "-D", "-a", socket_], stdout=subprocess.PIPE)
    try:
        assert running.stdout is not None
        running.stdout.readline()  # it listens
        subprocess.run(
            ["ssh-add", "-q", f"{house.path}/{key}"], env={**os.environ, "SSH_AUTH_SOCK": socket_}, check=True
        )
        yield socket_
    finally:
        running.terminate()
        running.communicate()


def command(tmp_path: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "fswatch_builder", "build", "--store", f"{tmp_path}/store", "-q", *arguments]


def address(house: House, repository: Repository) -> str:
    return f"ssh://root@127.0.0.1:{house.port}{repository.path}"


def test_a_repository_by_ssh_takes_an_agent_that_is_lent(house: House, repository: Repository, tmp_path: Path) -> None:
    repository.commit({"f": "text"})
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM scratch\nADD {address(house, repository)} /r\n")
    out = tmp_path / "out"
    with agent(house, "key") as ours, agent(house, "other") as other:
        done = house.run(*command(tmp_path, "--ssh", f"default={ours}", "-o", str(out), str(context)))
        assert done.returncode == 0, done.stderr
        assert (out / "r/f").read_text() == "text"
        # Neither an agent that is not lent, nor keys that lie about.
        shutil.copy(house.path / "key", house.path / ".ssh/id_ed25519")
        refused = house.run(*command(tmp_path, "--no-cache", str(context)), SSH_AUTH_SOCK=ours)
        assert refused.returncode == 4
        assert "hint: lend it an agent that has the key: --ssh default" in refused.stderr
        refused = house.run(*command(tmp_path, "--no-cache", "--ssh", f"default={other}", str(context)))
        assert (refused.returncode, "Permission denied" in refused.stderr) == (4, True)


def test_a_context_by_ssh_takes_the_agent_that_there_is(house: House, repository: Repository, tmp_path: Path) -> None:
    repository.commit({"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "text"})
    out = tmp_path / "out"
    with agent(house, "key") as ours:
        done = house.run(*command(tmp_path, "-o", str(out), address(house, repository)), SSH_AUTH_SOCK=ours)
    assert done.returncode == 0, done.stderr
    assert (out / "f").read_text() == "text"


def test_a_host_that_is_not_known_is_refused(house: House, repository: Repository, tmp_path: Path) -> None:
    repository.commit({"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "text"})
    (house.path / ".ssh/known_hosts").unlink()
    with agent(house, "key") as ours:
        done = house.run(*command(tmp_path, address(house, repository)), SSH_AUTH_SOCK=ours)
    assert (done.returncode, "Host key verification failed" in done.stderr) == (4, True)
    assert "known_hosts" in done.stderr


def test_a_repository_by_gits_own_protocol(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "text"})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all", "--verbose",
         f"--base-path={repository.path.parent}"],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert served.stderr is not None
        served.stderr.readline()  # it listens
        out = tmp_path / "out"
        subprocess.run(command(tmp_path, "-o", str(out), f"git://127.0.0.1:{port}/r.git"), check=True)
        assert (out / "f").read_text() == "text"
    finally:
        os.killpg(served.pid, signal.SIGTERM)
        served.communicate()
