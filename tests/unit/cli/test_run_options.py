"""``--secret``, ``--ssh``, ``--allow`` and the others: what their values mean, and what is wrong with them."""

import os
import socket
from pathlib import Path

import pytest

from fswatch_builder.cli.run_options import LARGEST_SECRET, agents, sandbox, secrets
from fswatch_builder.errors import UsageError
from fswatch_builder.model.sandbox import SandboxOptions, Ulimit


def options(**how: object) -> SandboxOptions:
    given = {"network": "default", "allow": (), "add_host": (), "shm_size": None, "ulimit": ()}
    return sandbox(**{**given, **how})  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "s"
    path.write_bytes(b"of the file\n\xff")
    return path


def test_a_secret_is_a_file_or_a_variable(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    environment = {b"V": b"\xfe", b"s": b"variable"}
    for item, value in {
        f"id=x,src={file}": b"of the file\n\xff",
        f"id=x,source={file}": b"of the file\n\xff",
        f"type=file,id=x,src={file}": b"of the file\n\xff",
        "type=file,id=s": b"of the file\n\xff",
        "id=x,env=V": b"\xfe",
        "type=env,id=x,src=V": b"\xfe",
        "type=env,id=V": b"\xfe",
        "id=s": b"variable",
    }.items():
        assert list(secrets([item], environment).values()) == [value], item
    assert secrets(["id=s"], {}) == {"s": b"of the file\n\xff"}


@pytest.mark.parametrize(
    ("item", "what"),
    [
        ("src=f", "the id is missing"),
        ("id=x,src=/nowhere", "cannot read /nowhere: No such file"),
        ("id=x,src=/", "cannot read /: Is a directory"),
        ("id=x,env=NONE", "there is no variable NONE"),
        ("id=x,src=a,env=b", "either src or env"),
        ("id=x,type=vault", "unsupported type vault"),
        ("id=x,target=/t", "unknown key 'target'"),
        ("x", "'x' is no key=value pair"),
        ('"id=x', "unexpected end of data"),
    ],
)
def test_what_is_no_secret(item: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        secrets([item], {})


def test_a_huge_secret_is_refused_without_being_read(tmp_path: Path) -> None:
    for size, fits in ((LARGEST_SECRET, True), (1 << 40, False)):
        os.truncate(tmp_path / "big", size) if (tmp_path / "big").exists() else (tmp_path / "big").touch()
        os.truncate(tmp_path / "big", size)
        if fits:
            assert len(secrets([f"id=x,src={tmp_path}/big"], {})["x"]) == size
        else:
            with pytest.raises(UsageError, match="larger than 500 KiB"):
                secrets([f"id=x,src={tmp_path}/big"], {})


def test_an_agent_is_a_socket(tmp_path: Path, file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        path = str(tmp_path / "socket")
        assert agents(["default", f"x={path}"], {"SSH_AUTH_SOCK": path}) == {"default": path, "x": path}
    with pytest.raises(UsageError, match="SSH_AUTH_SOCK is not set"):
        agents(["default"], {})
    with pytest.raises(UsageError, match="cannot use /nowhere"):
        agents(["x=/nowhere"], {})
    with pytest.raises(UsageError, match="files of keys are not read here") as caught:
        agents([f"x={file}"], {})
    assert f"ssh-add {file}" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="the id is missing"):
        agents([f"={file}"], {})


def test_hosts() -> None:
    items = ["a:1.2.3.4", "b=::1", "c:[::2]", "d=[::3]", "e:::4", "f:host-gateway"]
    expected = (("a", "1.2.3.4"), ("b", "::1"), ("c", "::2"), ("d", "::3"), ("e", "::4"), ("f", "127.0.0.1"))
    assert options(add_host=items).hosts == expected


@pytest.mark.parametrize("item", ["a", "a:", ":1.2.3.4", "a:1.2.3", "a b:1.2.3.4", "a\nx:1.2.3.4", "a:1.2.3.4\tx"])
def test_what_is_no_host(item: str) -> None:
    with pytest.raises(UsageError, match="--add-host"):
        options(add_host=[item])


def test_limits() -> None:
    found = options(ulimit=["nofile=1024", "nproc=1:-1", "core=0:0", "nofile=5:6"], shm_size="1.5g")
    assert found.ulimits == (Ulimit("nofile", 5, 6), Ulimit("nproc", 1, None), Ulimit("core", 0, 0))
    assert found.shm_size == 3 << 29


@pytest.mark.parametrize(
    "item", ["nofile", "nofile=", "nofile=x", "nofile=2:1", "nofile=-1:1", "files=1", "nofile=1:2:3", f"cpu={2**64}"]
)
def test_what_is_no_limit(item: str) -> None:
    with pytest.raises(UsageError, match="--ulimit"):
        options(ulimit=[item])


@pytest.mark.parametrize("text", ["", "x", "-1", "1e3", "1 mm", "9999999p"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="--shm-size"):
        options(shm_size=text)


def test_what_can_be_allowed() -> None:
    found = options(allow=["network.host", "security.insecure,network.host"])
    assert found.allowed == {"network.host", "security.insecure"}
    with pytest.raises(UsageError, match="--allow device"):
        options(allow=["device"])
    with pytest.raises(UsageError, match="--network bridge: want default, none or host"):
        options(network="bridge")
