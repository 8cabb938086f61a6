"""ADD from the web and from git, on the loopback."""

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder.errors import BuildContextError
from tests.support.builds import Result, Workshop
from tests.support.images import tar_of
from tests.support.registry import need
from tests.support.web import Repository, Web, web_server

pytestmark = pytest.mark.root

MODIFIED = {"Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with web_server(tmp_path / "repositories") as served:
        yield served


@pytest.fixture
def repository(web: Web) -> Repository:
    need("git")
    return Repository(web, "r")


def added(workshop: Workshop, *lines: str) -> Result:
    return workshop.build("FROM scratch\n" + "\n".join(lines) + "\n")


def described(result: Result, layer: int = 0) -> dict[str, tuple[int, int, int, int]]:
    members = result.members(result.layers[layer])
    return {
        member.name: (member.mode, member.uid, member.gid, int(member.mtime)) for member in members if member.isfile()
    }


def test_a_file_is_private_root_s_and_as_old_as_the_server_says(workshop: Workshop, web: Web) -> None:
    url = web.put("/p/f", "text", headers=MODIFIED)
    result = added(workshop, f"ADD {url} /a/", f"ADD --chmod=755 --chown=3:4 {url}?x /b", f"ADD --link {url} /c/")
    assert described(result, 0) == {"a/f": (0o600, 0, 0, 1_000_000_000)}
    assert described(result, 1) == {"b": (0o755, 3, 4, 1_000_000_000)}
    assert described(result, 2) == {"c/f": (0o600, 0, 0, 1_000_000_000)}


def test_an_archive_is_unpacked_only_if_asked(workshop: Workshop, web: Web) -> None:
    url = web.put("/x.tar.gz", gzip.compress(tar_of({"in": b"x"})))
    result = added(workshop, f"ADD {url} /a/", f"ADD --unpack {url} /b/", f"ADD --unpack=false {url} /c/")
    assert [list(described(result, number)) for number in range(3)] == [["a/x.tar.gz"], ["b/in"], ["c/x.tar.gz"]]


def test_a_checksum_spares_the_second_download(workshop: Workshop, web: Web) -> None:
    url = web.put("/f", "text")
    line = f"ADD --checksum=sha256:{hashlib.sha256(b'text').hexdigest()} {url} /f"
    added(workshop, line)
    assert added(workshop, line).recorder.statuses() == ["cached"]
    assert web.statuses("/f") == [200]
    web.put("/f", "other")
    with pytest.raises(BuildContextError, match="digest mismatch"):
        added(workshop, line + "2")
    assert web.statuses("/f") == [200, 200]


def test_without_one_the_server_is_asked_whether_it_changed(workshop: Workshop, web: Web) -> None:
    url = web.put("/f", "one", etag='"1"')
    added(workshop, f"ADD {url} /f")
    again = added(workshop, f"ADD {url} /f")
    assert (again.recorder.statuses(), web.statuses("/f")) == (["cached"], [200, 304])
    web.put("/f", "two", etag='"2"')
    changed = added(workshop, f"ADD {url} /f")
    assert changed.recorder.statuses() == ["done"]
    assert changed.text(changed.layers[0], "f") == "two"


def test_h12_an_etag_is_of_one_url(workshop: Workshop, web: Web) -> None:
    one, two = web.put("/one", "1", etag='"e"'), web.put("/two", "2", etag='"e"')
    added(workshop, f"ADD {one} /f")
    result = added(workshop, f"ADD {two} /f")
    assert result.text(result.layers[0], "f") == "2"


def test_a_newer_time_is_news(workshop: Workshop, web: Web) -> None:
    url = web.put("/f", "text", headers=MODIFIED)
    added(workshop, f"ADD {url} /f")
    web.put("/f", "text", headers={"Last-Modified": "Sun, 09 Sep 2001 01:46:41 GMT"})
    result = added(workshop, f"ADD {url} /f")
    assert described(result)["f"][3] == 1_000_000_001


def test_f10_an_error_page_ends_the_build(workshop: Workshop, web: Web) -> None:
    with pytest.raises(BuildContextError, match="the server answered 404") as caught:
        added(workshop, f"ADD {web.url}/none /f")
    assert caught.value.where is not None


def test_a_repository(workshop: Workshop, repository: Repository) -> None:
    first = repository.commit({"f": "1", "d/g": "2"})
    repository.git("tag", "v1")
    repository.commit({"f": "3"})
    lines = (
        f"ADD {repository.url} /a",
        f"ADD {repository.url}#v1:d /b/",
        f"ADD --chown=3:4 {repository.url}?ref={first} /c",
        f"ADD --keep-git-dir {repository.url}#v1 /k",
        f"ADD --exclude=d --link {repository.url} /e/",
    )
    result = added(workshop, *lines)
    assert described(result, 0) == {"a/f": (0o644, 0, 0, 1_000_000_000), "a/d/g": (0o644, 0, 0, 1_000_000_000)}
    assert list(described(result, 1)) == ["b/g"]
    assert described(result, 2)["c/f"] == (0o644, 3, 4, 1_000_000_000)
    assert result.text(result.layers[2], "c/f") == "1"
    assert result.text(result.layers[3], "k/.git/HEAD").strip() == first
    assert [name for name in described(result, 0) if ".git" in name] == []
    assert list(described(result, 4)) == ["e/f"]


def test_f11_the_checksum_of_a_repository_is_its_commit(workshop: Workshop, repository: Repository) -> None:
    commit = repository.commit({"f": "1"})
    assert added(workshop, f"ADD --checksum={commit[:10]} {repository.url}#main /a").layers
    with pytest.raises(BuildContextError, match="does not match the checksum"):
        added(workshop, f"ADD --checksum={commit[::-1]} {repository.url}#main /a")


def test_a_branch_that_moves_is_news_and_one_that_does_not_is_none(workshop: Workshop, repository: Repository) -> None:
    repository.commit({"f": "1"})
    line = f"ADD {repository.url}#main /a"
    assert added(workshop, line).recorder.statuses() == ["done"]
    assert added(workshop, line).recorder.statuses() == ["cached"]
    repository.commit({"f": "2"})
    result = added(workshop, line)
    assert result.text(result.layers[0], "a/f") == "2"


def test_a_commit_by_its_id_that_is_cached_needs_no_network(
    workshop: Workshop, repository: Repository, web: Web
) -> None:
    commit = repository.commit({"f": "1"})
    line = f"ADD {repository.url}#{commit} /a"
    added(workshop, line)
    before = len(web.requests)
    assert added(workshop, line).recorder.statuses() == ["cached"]
    assert len(web.requests) == before


def test_words_are_taken_in_their_order(workshop: Workshop, web: Web) -> None:
    workshop.write("f", "local")
    url = web.put("/f", "fetched")
    result = added(workshop, f"ADD f {url} /a/", f"ADD {url} f /b/")
    assert [result.text(layer, name) for layer, name in zip(result.layers, ("a/f", "b/f"), strict=True)] == [
        "fetched",
        "local",
    ]
