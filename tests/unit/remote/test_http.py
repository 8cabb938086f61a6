"""Downloads."""

import hashlib
import os
import socket
import threading
from pathlib import Path

import pytest

from fswatch_builder import stopping
from fswatch_builder.errors import BuildContextError
from fswatch_builder.model.remote import HttpFile
from fswatch_builder.remote import http
from fswatch_builder.remote.http import download, file_name, is_unchanged
from fswatch_builder.stopping import Stop, Stopped
from tests.support.web import Web

MODIFIED = {"Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/b.txt", "b.txt"),
        ("http://h/a/b.txt?x=/y", "b.txt"),
        ("http://h/a/", "a"),
        ("http://h", "__unnamed__"),
        ("http://h/", "__unnamed__"),
        ("http://h/%2e%2e", "__unnamed__"),
        ("http://h/a%2Fb", "__unnamed__"),
        ("http://h/a%20b", "a b"),
    ],
)
def test_the_name_of_a_file(url: str, name: str) -> None:
    assert file_name(url) == name


def test_a_file_is_private_and_has_the_servers_time(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", "text", headers=MODIFIED, etag='"1"')
    found = download(HttpFile(url), str(tmp_path / "f"))
    status = (tmp_path / "f").stat()
    assert (status.st_mode & 0o7777, int(status.st_mtime)) == (0o600, 1_000_000_000)
    assert (found.sha256, found.modified, found.etag) == (hashlib.sha256(b"text").hexdigest(), 1_000_000_000, '"1"')
    assert is_unchanged(HttpFile(url), found)
    web.put("/f", "other", etag='"2"')
    assert not is_unchanged(HttpFile(url), found)


@pytest.mark.parametrize("stamp", ["", "yesterday", "Sun, 99 Sep 2001 01:46:40 GMT"])
def test_a_file_without_a_time_has_the_first_there_is(web: Web, tmp_path: Path, stamp: str) -> None:
    url = web.put("/f", "text", headers={"Last-Modified": stamp})
    assert download(HttpFile(url), str(tmp_path / "f")).modified == os.stat(tmp_path / "f").st_mtime == 0


@pytest.mark.parametrize("status", [404, 403, 500, 204, 206])
def test_f10_an_error_page_is_never_saved(web: Web, tmp_path: Path, status: int) -> None:
    url = web.put("/f", "oops" if status != 204 else "", status=status)
    with pytest.raises(BuildContextError, match=f"the server answered {status}"):
        download(HttpFile(url), str(tmp_path / "f"))
    assert not (tmp_path / "f").exists()


def test_a_checksum_is_verified(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", "text")
    sha256 = hashlib.sha256(b"text").hexdigest()
    assert download(HttpFile(url, sha256), str(tmp_path / "f")).sha256 == sha256
    with pytest.raises(BuildContextError, match="digest mismatch"):
        download(HttpFile(url, "0" * 64), str(tmp_path / "g"))
    assert not (tmp_path / "g").exists()


def test_redirects_are_followed_to_the_web_alone(web: Web, tmp_path: Path) -> None:
    web.put("/target", "text")
    found = download(HttpFile(web.put("/a", "", status=302, headers={"Location": "/target"})), str(tmp_path / "f"))
    assert found.sha256 == hashlib.sha256(b"text").hexdigest()
    for location in ("file:///etc/passwd", "ftp://h/x", "gopher://127.0.0.1:1/"):
        url = web.put("/b", "", status=301, headers={"Location": location})
        with pytest.raises(BuildContextError, match=r"redirects to .*, which is not followed"):
            download(HttpFile(url), str(tmp_path / "g"))
    url = web.put("/loop", "", status=307, headers={"Location": "/loop"})
    with pytest.raises(BuildContextError, match="redirects more than 10 times"):
        download(HttpFile(url), str(tmp_path / "g"))


def test_a_body_that_is_cut_short_is_an_error(web: Web, tmp_path: Path) -> None:
    url = web.put("/f", "text", stated_length=100)
    with pytest.raises(BuildContextError, match="cannot fetch"):
        download(HttpFile(url), str(tmp_path / "f"))


def test_no_server_is_an_error_that_shows_no_password(tmp_path: Path) -> None:
    with pytest.raises(BuildContextError, match=r"cannot fetch http://u:xxxxx@127\.0\.0\.1:1/f") as caught:
        download(HttpFile("http://u:secret@127.0.0.1:1/f"), str(tmp_path / "f"))
    assert "secret" not in str(caught.value)


def test_j14_a_file_is_fetched_by_the_proxy(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.put("/f", "text")
    monkeypatch.setenv("http_proxy", web.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    found = download(HttpFile("http://elsewhere.invalid/f"), str(tmp_path / "f"))
    assert found.sha256 == hashlib.sha256(b"text").hexdigest()


def test_a_server_that_falls_silent_does_not_keep_a_thread_that_shall_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_TIMEOUT_S", None)
    open_ones = []
    with socket.create_server(("127.0.0.1", 0)) as server, Stop() as stop:

        def serve() -> None:
            connection, _ = server.accept()
            open_ones.append(connection)
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
            stop.set()

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/f"
        with stopping.under(stop), pytest.raises(Stopped):
            download(HttpFile(url), str(tmp_path / "f"))
        thread.join()
        open_ones[0].close()
