"""An agent that is lent: keys can be listed and used, not added, removed or locked, and it is gone afterwards."""

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fswatch_builder.runtime.agent import LARGEST, NAME, lent


@pytest.fixture
def ssh_agent(tmp_path: Path) -> Iterator[Path]:
    """A real one, with one key."""
    path = tmp_path / "real"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    try:
        assert agent.stdout is not None
        agent.stdout.readline()  # it listens
        key = tmp_path / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a key", "-f", key], check=True)
        assert ssh_add(path, str(key)).returncode == 0
        yield path
    finally:
        agent.terminate()
        agent.communicate()


def ssh_add(agent: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
    return subprocess.run(["ssh-add", *arguments], env=environment, capture_output=True, text=True, check=False)


def is_hung_up(connection: socket.socket) -> bool:
    """Reset, if what was sent had not been read by then."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_keys_are_listed_and_sign(ssh_agent: Path, tmp_path: Path) -> None:
    with lent(str(ssh_agent), str(tmp_path), mode=0o600, uid=os.getuid(), gid=os.getgid()):
        assert "a key" in ssh_add(tmp_path / NAME, "-l").stdout
        assert ssh_add(tmp_path / NAME, "-T", str(tmp_path / "key.pub")).returncode == 0
    assert ssh_add(tmp_path / NAME, "-l").returncode == 2


@pytest.mark.parametrize("arguments", [["-D"], ["-d", "key.pub"], ["key"]])
def test_nothing_else_reaches_the_agent(ssh_agent: Path, tmp_path: Path, arguments: list[str]) -> None:
    with lent(str(ssh_agent), str(tmp_path), mode=0o600, uid=os.getuid(), gid=os.getgid()):
        arguments = [str(tmp_path / word) if "key" in word else word for word in arguments]
        assert ssh_add(tmp_path / NAME, *arguments).returncode != 0
    assert "a key" in ssh_add(ssh_agent, "-l").stdout


def test_its_socket_is_the_run_s_user_s(tmp_path: Path) -> None:
    with lent("/nowhere", str(tmp_path), mode=0o640, uid=os.getuid(), gid=os.getgid()):
        assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o640


def test_a_path_too_long_for_a_socket_is_no_matter(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with lent("/nowhere", str(deep), mode=0o600, uid=os.getuid(), gid=os.getgid()):
        assert (deep / NAME).is_socket()


@pytest.mark.parametrize(
    "sent", [b"", b"\0\0\0\0", struct.pack(">I", LARGEST + 1), b"\0\0\0\5\x0b", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_who_does_not_speak_the_protocol_is_hung_up_and_others_are_served(
    ssh_agent: Path, tmp_path: Path, sent: bytes
) -> None:
    ours = lent(str(ssh_agent), str(tmp_path), mode=0o600, uid=os.getuid(), gid=os.getgid())
    with ours, socket.socket(socket.AF_UNIX) as odd:
        odd.connect(str(tmp_path / NAME))
        odd.sendall(sent)
        assert "a key" in ssh_add(tmp_path / NAME, "-l").stdout
        odd.shutdown(socket.SHUT_WR)
        assert is_hung_up(odd)


def test_an_agent_that_is_gone_hangs_up(tmp_path: Path) -> None:
    with lent(str(tmp_path / "gone"), str(tmp_path), mode=0o600, uid=os.getuid(), gid=os.getgid()):
        assert ssh_add(tmp_path / NAME, "-l").returncode != 0


def test_a_thousand_connections_do_not_become_a_thousand_threads(tmp_path: Path) -> None:
    silent = socket.socket(socket.AF_UNIX)
    with silent, lent(str(tmp_path / "silent"), str(tmp_path), mode=0o600, uid=os.getuid(), gid=os.getgid()):
        silent.bind(str(tmp_path / "silent"))
        silent.listen(200)
        before = threading.active_count()
        connections = [socket.socket(socket.AF_UNIX) for _ in range(200)]
        try:
            for connection in connections:
                connection.connect(str(tmp_path / NAME))
                with suppress(BrokenPipeError):
                    connection.sendall(b"\0\0\0\1\x0b")
            hung_up = sum(is_hung_up(connection) for connection in connections[-50:])
            assert hung_up == 50
            assert threading.active_count() - before <= 128
        finally:
            for connection in connections:
                connection.close()
    assert threading.active_count() < before
