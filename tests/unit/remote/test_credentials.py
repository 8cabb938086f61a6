"""Secrets for what the builder fetches: each to the server it is for, and to nobody else."""

from base64 import b64encode
from pathlib import Path

import pytest

from fswatch_builder.errors import BuildContextError, UsageError
from fswatch_builder.model.remote import GitTree, HttpFile
from fswatch_builder.remote.credentials import Credentials
from fswatch_builder.remote.git import check_out, resolve
from fswatch_builder.remote.http import download, is_unchanged
from tests.support.web import Repository, Web, web_server

TOKEN = "t0ken"


def basic(token: str) -> str:
    return "basic " + b64encode(f"x-access-token:{token}".encode()).decode()


@pytest.mark.parametrize(
    ("name", "url", "expected"),
    [
        ("HTTP_AUTH_TOKEN_h", "https://h/f", "Bearer v"),
        ("HTTP_AUTH_TOKEN_h", "http://u:p@H:8080/f", "Bearer v"),
        ("HTTP_AUTH_HEADER_h", "https://h/f", "v"),
        ("HTTP_AUTH_TOKEN_h", "https://h.evil/f", None),
        ("HTTP_AUTH_TOKEN_h", "https://sub.h/f", None),
        ("HTTP_AUTH_TOKEN_", "https://h/f", None),
        ("GIT_AUTH_TOKEN", "https://h/f", None),
    ],
)
def test_which_secret_is_for_a_file(name: str, url: str, expected: str | None) -> None:
    assert Credentials({name: b"v\n"}).for_file(url) == expected


def test_a_token_goes_before_a_header_for_a_file() -> None:
    both = Credentials({"HTTP_AUTH_HEADER_h": b"header", "HTTP_AUTH_TOKEN_h": b"token"})
    assert both.for_file("https://h/f") == "Bearer token"


@pytest.mark.parametrize(
    ("names", "remote", "expected"),
    [
        (["GIT_AUTH_TOKEN"], "https://h/r.git", ("https://h/", basic("GIT_AUTH_TOKEN"))),
        (["GIT_AUTH_HEADER"], "https://h/r.git", ("https://h/", "GIT_AUTH_HEADER")),
        (["GIT_AUTH_TOKEN", "GIT_AUTH_HEADER"], "https://h/r.git", ("https://h/", "GIT_AUTH_HEADER")),
        (["GIT_AUTH_HEADER", "GIT_AUTH_TOKEN.h"], "https://h/r.git", ("https://h/", basic("GIT_AUTH_TOKEN.h"))),
        (["GIT_AUTH_TOKEN.h:80"], "http://u@h:80/r.git", ("http://h:80/", basic("GIT_AUTH_TOKEN.h:80"))),
        (["GIT_AUTH_TOKEN.h"], "https://other/r.git", None),
        (["GIT_AUTH_TOKEN"], "git@h:r.git", None),
        (["GIT_AUTH_TOKEN"], "git://h/r.git", None),
        (["HTTP_AUTH_TOKEN_h"], "https://h/r.git", None),
    ],
)
def test_which_secret_is_for_a_repository(names: list[str], remote: str, expected: tuple[str, str] | None) -> None:
    assert Credentials({name: name.encode() for name in names}).for_repository(remote) == expected


@pytest.mark.parametrize("value", [b"a\nX-Other: b", b"a\0b", "ä".encode()])
def test_what_no_header_can_hold_is_an_error_that_does_not_show_it(value: bytes) -> None:
    with pytest.raises(UsageError, match="secret HTTP_AUTH_TOKEN_h: it holds") as caught:
        Credentials({"HTTP_AUTH_TOKEN_h": value}).for_file("https://h/")
    assert "Other" not in str(caught.value)


def test_nothing_shows_a_secret() -> None:
    assert TOKEN not in repr(Credentials({"GIT_AUTH_TOKEN": TOKEN.encode()}))


def test_a_file_behind_a_token(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", "text", authorization=f"Bearer {TOKEN}", etag='"1"')
    ours = Credentials({"HTTP_AUTH_TOKEN_127.0.0.1": TOKEN.encode()})
    with pytest.raises(BuildContextError, match="401") as caught:
        download(HttpFile(url), str(tmp_path / "none"))
    assert "HTTP_AUTH_TOKEN_127.0.0.1" in (caught.value.hint or "")
    found = download(HttpFile(url), str(tmp_path / "f"), ours)
    assert is_unchanged(HttpFile(url), found, ours)
    secret = url.replace("http://", "http://user:password@")
    assert download(HttpFile(secret), str(tmp_path / "g"), ours) == found


def test_a_redirect_to_another_server_takes_no_token_along(web: Web, tmp_path: Path) -> None:
    ours = Credentials({"HTTP_AUTH_TOKEN_127.0.0.1": TOKEN.encode()})
    with web_server(tmp_path / "other") as other:
        target = other.put("/f", "text")
        start = web.put("/start", "", status=302, headers={"Location": "/next"}, authorization=f"Bearer {TOKEN}")
        web.put("/next", "", status=302, headers={"Location": target}, authorization=f"Bearer {TOKEN}")
        download(HttpFile(start), str(tmp_path / "f"), ours)
        assert web.authorizations == [f"Bearer {TOKEN}"] * 2
        assert other.authorizations == [None]


def test_a_download_has_a_limit(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", b"x" * 1000)
    with pytest.raises(BuildContextError, match=r"larger than the limit of 999 bytes \(--unpack-limit\)"):
        download(HttpFile(url), str(tmp_path / "f"), max_bytes=999)
    assert download(HttpFile(url), str(tmp_path / "g"), max_bytes=1000).sha256


def ours_for(web: Web) -> Credentials:
    host = web.url.partition("://")[2]
    return Credentials({f"GIT_AUTH_TOKEN.{host}": TOKEN.encode()})


def test_a_repository_behind_a_token(web: Web, repository: Repository, tmp_path: Path) -> None:
    commit = repository.commit({"f": "1"})
    web.git_authorization = basic(TOKEN)
    with pytest.raises(BuildContextError, match="ls-remote failed") as caught:
        resolve(GitTree(repository.url))
    assert "GIT_AUTH_TOKEN.127.0.0.1:" in (caught.value.hint or "")
    ours = ours_for(web)
    tree = GitTree(repository.url, keep_git_dir=True)
    assert resolve(tree, ours) == commit
    root = Path(check_out(tree, commit, str(tmp_path / "t"), ours).rootfs.path.decode())
    kept = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in content or basic(TOKEN).encode() in content for content in kept)


def test_a_submodule_elsewhere_gets_no_token(web: Web, repository: Repository, tmp_path: Path) -> None:
    with web_server(tmp_path / "other") as elsewhere:
        inner = Repository(elsewhere, "inner")
        inner.commit({"g": "1"})
        repository.git("submodule", "--quiet", "add", inner.url, "sub")
        commit = repository.commit({"f": "1"})
        elsewhere.authorizations.clear()
        web.git_authorization = basic(TOKEN)
        check_out(GitTree(repository.url), commit, str(tmp_path / "t"), ours_for(web))
        assert (tmp_path / "t/sub/g").read_text() == "1"
        assert {*elsewhere.authorizations} == {None}


def test_a_repository_that_has_moved_gets_no_token(web: Web, repository: Repository, tmp_path: Path) -> None:
    repository.commit({"f": "1"})
    with web_server(tmp_path / "other") as elsewhere:
        web.git_redirect = elsewhere.url
        with pytest.raises(BuildContextError, match="ls-remote failed") as caught:
            resolve(GitTree(repository.url), ours_for(web))
        assert "no redirect is followed" in (caught.value.hint or "")
        assert elsewhere.authorizations == []
