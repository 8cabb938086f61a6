"""Where a build context may come from, by the command."""

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import fswatch_builder
from tests.support.images import tar_of
from tests.support.registry import need
from tests.support.web import Repository, Web, web_server

pytestmark = pytest.mark.root

FILES = {"Dockerfile": "FROM scratch\nCOPY . /c/\n", "f": "text\n", ".dockerignore": "Dockerfile\n"}


def archive(files: dict[str, str] = FILES) -> bytes:
    return tar_of({name: text.encode() for name, text in files.items()})


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with web_server(tmp_path / "repositories") as served:
        yield served


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def names(output: Path) -> set[str]:
    """Of the files in the last layer of an OCI layout."""
    import json

    def blob(digest: str) -> bytes:
        return (output / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()

    index = json.loads((output / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]["digest"]))
    with tarfile.open(fileobj=io.BytesIO(blob(manifest["layers"][-1]["digest"]))) as tar:
        return {member.name for member in tar.getmembers() if not member.isdir()}


def built(tmp_path: Path, store: str, *arguments: str, stdin: bytes = b"") -> set[str]:
    import subprocess
    import sys

    output = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "fswatch_builder",
        "build",
        "--store",
        store,
        "-o",
        f"type=oci,dest={output},tar=false",
    ]
    done = subprocess.run([*command, *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return names(output)


ALL = {"c/Dockerfile", "c/f", "c/.dockerignore"}


@pytest.mark.parametrize("packed", [archive(), gzip.compress(archive())], ids=["tar", "tar.gz"])
def test_an_archive_on_standard_input_and_by_path(tmp_path: Path, store: str, packed: bytes) -> None:
    assert built(tmp_path, store, "-", stdin=packed) == ALL  # its ignore file does not count, as in BuildKit
    (tmp_path / "context.bin").write_bytes(packed)
    assert built(tmp_path, store, str(tmp_path / "context.bin")) == ALL


def test_a_dockerfile_in_an_archive_by_its_name(tmp_path: Path, store: str) -> None:
    packed = archive({"sub/other": "FROM scratch\nCOPY f /g\n", "f": "x"})
    assert built(tmp_path, store, "-f", "sub/other", "-", stdin=packed) == {"g"}
    assert built(tmp_path, store, "-f", "../../sub/other", "-", stdin=packed) == {"g"}


def test_a_lone_dockerfile_on_standard_input(tmp_path: Path, store: str) -> None:
    assert built(tmp_path, store, "-", stdin=b"FROM scratch\nCOPY <<E /e\nx\nE\n") == {"e"}


def test_a_dockerfile_on_standard_input_with_a_directory(tmp_path: Path, store: str) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for name, text in FILES.items():
        (context / name).write_text(text)
    assert built(tmp_path, store, "-f", "-", str(context), stdin=b"FROM scratch\nCOPY . /d/\n") == {
        "d/f",
        "d/.dockerignore",
    }


def test_an_archive_and_a_lone_dockerfile_from_the_web(tmp_path: Path, store: str, web: Web) -> None:
    assert built(tmp_path, store, web.put("/c.tgz", gzip.compress(archive()))) == ALL
    assert built(tmp_path, store, web.put("/Dockerfile", "FROM scratch\nCOPY <<E /e\nx\nE\n")) == {"e"}
    assert built(tmp_path, store, "-f", "-", f"{web.url}/c.tgz", stdin=b"FROM scratch\nCOPY f /\n") == {"f"}


def test_a_repository_and_its_subdirectory(tmp_path: Path, store: str, web: Web) -> None:
    need("git")
    repository = Repository(web, "r")
    repository.commit({**FILES, "sub/Dockerfile": "FROM scratch\nCOPY f /from-sub\n", "sub/f": "x"})
    repository.git("tag", "v1")
    assert built(tmp_path, store, repository.url) == ALL | {"c/sub/Dockerfile", "c/sub/f"}
    assert built(tmp_path, store, f"{repository.url}#v1:sub") == {"from-sub"}
    assert built(tmp_path, store, f"{repository.url}?tag=v1&subdir=sub") == {"from-sub"}
    kept = built(tmp_path, store, "--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", repository.url)
    assert "c/.git/HEAD" in kept


@pytest.mark.parametrize(("value", "kept"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_a_context_from_git_keeps_its_git_dir_if_asked_to(
    tmp_path: Path, store: str, web: Web, value: str, kept: bool
) -> None:
    need("git")
    repository = Repository(web, "r")
    repository.commit(FILES)
    flag = f"--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR={value}"
    assert ("c/.git/HEAD" in built(tmp_path, store, flag, repository.url)) is kept


def test_named_contexts_from_the_web_and_from_git(tmp_path: Path, store: str, web: Web) -> None:
    need("git")
    repository = Repository(web, "r")
    repository.commit({"g": "x"})
    packed = web.put("/c.tgz", gzip.compress(archive({"p": "x"})))
    plain = web.put("/plain", "x")
    text = (
        b"FROM scratch AS stage\nFROM git AS replaced\nFROM scratch AS end\n"
        b"COPY --from=git g /1\nCOPY --from=packed p /2\nCOPY --from=plain context /3\n"
        b"FROM packed\nCOPY --from=end / /\nCOPY --from=replaced g /4\nCOPY --from=stage /g /5\n"
    )
    contexts = {"git": repository.url, "packed": packed, "plain": plain, "stage": repository.url}
    flags = [f"--build-context={name}={value}" for name, value in contexts.items()]
    assert built(tmp_path, store, *flags, "-", stdin=text) == {"5"}


@pytest.mark.parametrize(
    ("arguments", "status", "what"),
    [
        (["-f", "-", "-"], 2, "context and Dockerfile cannot both come from standard input"),
        (["-f", "x", "-"], 2, "stdin is a Dockerfile, and so is --file x"),
        (["/nowhere/at/all"], 2, "the context /nowhere/at/all is not there"),
        (["empty.tar"], 3, "there is no Dockerfile in empty.tar"),
        (["https://h/r.git#--upload-pack=x"], 2, "invalid git ref"),
        (["http://127.0.0.1:1/x.tar"], 4, "cannot fetch http://127.0.0.1:1/x.tar"),
        (["--build-context", "a=target:x", "."], 2, "means something in bake files only"),
        (["--build-context", "a=ftp://h/x", "."], 2, "ftp:// is none of"),
        (["--build-context", "a=https://h/r.git?x=1", "."], 2, "unknown query 'x'"),
    ],
)
def test_errors(tmp_path: Path, store: str, arguments: list[str], status: int, what: str) -> None:
    (tmp_path / "empty.tar").write_bytes(bytes(10240))
    done = fswatch_builder(
        "build", "--store", store, *arguments, check=False, stdin="FROM scratch\n", cwd=str(tmp_path)
    )
    assert done.returncode == status, done.stderr
    assert what in done.stderr
    assert len([line for line in done.stderr.split("\n") if line.startswith("ERROR")]) == 1


def hostile(name: str, kind: bytes, target: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.type = kind
        member.linkname = target
        tar.addfile(member)
        for text_name, text in {"Dockerfile": b"FROM scratch\nCOPY l* /c/\n", "l/f": b"x"}.items():
            member = tarfile.TarInfo(text_name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return out.getvalue()


def test_l1_an_archive_writes_nowhere_else(tmp_path: Path, store: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for packed in (
        hostile("l", tarfile.SYMTYPE, str(outside)),
        hostile("l", tarfile.SYMTYPE, "../../../../../../" + str(outside)),
        hostile("../l", tarfile.SYMTYPE, str(outside)),
        hostile("h", tarfile.LNKTYPE, "/etc/passwd"),
    ):
        done = fswatch_builder("build", "--store", store, "-", check=False, stdin=packed.decode())
        assert done.returncode in (0, 4), done.stderr
        assert list(outside.iterdir()) == []


def test_a_dockerfile_in_an_archive_that_is_a_link_shows_nothing(tmp_path: Path, store: str) -> None:
    (tmp_path / "secret").write_text("hidden text\n")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("Dockerfile")
        member.type = tarfile.SYMTYPE
        member.linkname = str(tmp_path / "secret")
        tar.addfile(member)
    done = fswatch_builder("build", "--store", store, "-", check=False, stdin=out.getvalue().decode())
    assert done.returncode == 3
    assert "hidden" not in done.stderr
    assert os.listdir(f"{store}/work") == [".lock"]


def test_a_check_of_an_archive_and_of_a_lone_dockerfile_leaves_nothing(tmp_path: Path, store: str) -> None:
    for stdin in (archive({"Dockerfile": "FROM scratch\nMAINTAINER x\n"}).decode(), "FROM scratch\nMAINTAINER x\n"):
        done = fswatch_builder(
            "build", "--store", store, "--check", "-", check=False, stdin=stdin, env={"TMPDIR": str(tmp_path)}
        )
        assert "MaintainerDeprecated" in done.stdout
        assert os.listdir(tmp_path) == []
