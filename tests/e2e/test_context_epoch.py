"""SOURCE_DATE_EPOCH=context: the time at which the build context was made (X8)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import pytest

from tests.support.cli import Running, fswatch_builder
from tests.support.images import tar_of
from tests.support.registry import need
from tests.support.web import Repository, Web, web_server

FILES = {"Dockerfile": "FROM scratch\nARG SOURCE_DATE_EPOCH\nENV T=$SOURCE_DATE_EPOCH\n"}
CONTEXT = "--build-arg=SOURCE_DATE_EPOCH=context"
WARNING = "WARN: SOURCE_DATE_EPOCH=context changes nothing"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with web_server(tmp_path / "repositories") as served:
        yield served


def made(tmp_path: Path, *arguments: str, **how: Unpack[Running]) -> tuple[str, list[str], str]:
    """When the image says that it was made, its variables, and the progress."""
    store = f"--store={tmp_path}/store"
    done = fswatch_builder("build", store, "-t=x", "--progress=plain", *arguments, **how)
    (image,) = json.loads(fswatch_builder("inspect", store, "x").stdout)
    return image["Created"], image["Config"]["Env"][1:], done.stderr


def test_the_commit_of_a_repository(tmp_path: Path, web: Web) -> None:
    need("git")
    repository = Repository(web, "r")
    repository.commit(FILES)
    created, variables, progress = made(tmp_path, CONTEXT, repository.url)
    assert (created, variables) == ("2001-09-09T01:46:40Z", ["T=1000000000"])
    assert WARNING not in progress


def test_a_default_of_the_dockerfile_s_own(tmp_path: Path, web: Web) -> None:
    need("git")
    repository = Repository(web, "r")
    repository.commit({"Dockerfile": f"ARG SOURCE_DATE_EPOCH=context\n{FILES['Dockerfile']}"})
    assert made(tmp_path, repository.url)[:2] == ("2001-09-09T01:46:40Z", ["T=1000000000"])
    assert made(tmp_path, "--timestamp=7", repository.url)[0] == "1970-01-01T00:00:07Z"


def test_what_the_web_says_and_else_the_newest_member(tmp_path: Path, web: Web) -> None:
    archive = tar_of({name: text.encode() for name, text in FILES.items()})
    stated = web.put("/a", archive, headers={"Last-Modified": "Thu, 01 Jan 2015 00:00:00 GMT"})
    assert made(tmp_path, CONTEXT, stated)[:2] == ("2015-01-01T00:00:00Z", ["T=1420070400"])
    (tmp_path / "a.tar").write_bytes(archive)
    for context in (web.put("/b", archive), str(tmp_path / "a.tar")):
        assert made(tmp_path, CONTEXT, context)[:2] == ("1970-01-01T00:00:00Z", ["T=0"])


def test_a_directory_has_no_time(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(FILES["Dockerfile"])
    _, variables, progress = made(tmp_path, CONTEXT, str(context))
    assert variables == ["T="]
    assert WARNING in progress
    assert WARNING not in made(tmp_path, str(context))[2]
