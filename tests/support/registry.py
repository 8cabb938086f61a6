"""Registries on the loopback: Debian's docker-registry for real, and a fake one that misbehaves on demand."""

import base64
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.images import MadeImage, digest


@dataclass(frozen=True)
class Registry:
    """A running docker-registry. ``host`` is ``127.0.0.1:PORT``."""

    host: str
    user: str = ""
    password: str = ""

    def push(self, layout: Path, tag: str, repository: str) -> None:
        """``layout``:``tag`` as ``repository``, by skopeo."""
        login = ["--dest-creds", f"{self.user}:{self.password}"] if self.user else []
        subprocess.run(
            [
                *("skopeo", "--insecure-policy", "copy", "--quiet", "--all", "--dest-tls-verify=false", *login),
                *(f"oci:{layout}:{tag}", f"docker://{self.host}/{repository}"),
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )


def need(*programs: str) -> None:
    """Skips a test whose programs are not installed, naming them."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


@contextmanager
def docker_registry(directory: Path, *, user: str = "", password: str = "") -> Iterator[Registry]:
    """Debian's docker-registry on a free port, with htpasswd authentication if there is a ``user``."""
    need("docker-registry", "skopeo")
    config = [
        "version: 0.1",
        "log: {level: info, formatter: text}",
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}",
        "http: {addr: '127.0.0.1:0'}",
    ]
    if user:
        need("htpasswd")
        line = subprocess.run(["htpasswd", "-nbB", user, password], check=True, capture_output=True, text=True).stdout
        (directory / "htpasswd").write_text(line)
        config.append(f"auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}")
    (directory / "config.yml").write_text("\n".join(config) + "\n")
    process = subprocess.Popen(
        ["docker-registry", "serve", str(directory / "config.yml")], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stderr is not None
    try:
        host = ""
        seen = b""
        for line_bytes in process.stderr:  # it says its port once it listens
            seen += line_bytes
            if found := re.search(rb"listening on (127\.0\.0\.1:\d+)", line_bytes):
                host = found[1].decode()
                break
        assert host, f"docker-registry did not start: {seen.decode()}"
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield Registry(host, user, password)
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stderr.close()


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # send only so many bytes of the body, then hang up
    held: int | None = None  # send only so many bytes of the body until ``until`` returns True; hang up if it does not
    until: Callable[[], bool] = lambda: True


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(
            sys.exception(), ConnectionError
        ):  # a client that hangs up early is what some tests are about
            super().handle_error(request, client_address)


class FakeRegistry:
    """Serves ``content`` by path; ``queue`` holds answers that come first, by path. Every request is kept."""

    def __init__(self) -> None:
        self.content: dict[str, Answer] = {}
        self.queue: dict[str, list[Answer]] = {}
        self.requests: list[Request] = []
        self.token_service: dict[str, Any] | None = None
        self.require: str | None = None  # the Authorization header that is wanted
        self.challenge = ""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fake._serve(self)

            do_HEAD = do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, repository: str, tag: str, image: MadeImage) -> None:
        for name, content in image.blobs.items():
            self.content[f"/v2/{repository}/blobs/{name}"] = Answer(body=content)
        self.add_manifest(repository, tag, image.manifest, image.media_type)

    def add_manifest(self, repository: str, tag: str, content: bytes, media_type: str) -> None:
        answer = Answer(body=content, headers={"Content-Type": media_type, "Docker-Content-Digest": digest(content)})
        self.content[f"/v2/{repository}/manifests/{tag}"] = answer
        self.content[f"/v2/{repository}/manifests/{digest(content)}"] = answer

    def asked(self, part: str) -> list[Request]:
        return [request for request in self.requests if part in request.path]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = Request(handler.command, handler.path, {k.lower(): v for k, v in handler.headers.items()}, body)
        self.requests.append(request)
        answer = self._answer(request)
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if "Content-Length" not in answer.headers:
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if answer.held is not None:
            handler.wfile.write(answer.body[: answer.held])
            handler.wfile.flush()
            handler.close_connection = True
            if answer.until():
                handler.wfile.write(answer.body[answer.held :])
        elif answer.cut is None:
            handler.wfile.write(answer.body)
        else:
            handler.wfile.write(answer.body[: answer.cut])
            handler.close_connection = True

    def _answer(self, request: Request) -> Answer:
        url = urlsplit(request.path)
        if self.token_service is not None and url.path == "/token":
            return self._token(request, parse_qs(url.query))
        if self.queue.get(url.path):
            return self.queue[url.path].pop(0)
        if self.require is not None and request.headers.get("authorization") != self.require:
            return Answer(401, headers={"WWW-Authenticate": self.challenge})
        return self.content.get(url.path, Answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'))

    def _token(self, request: Request, query: dict[str, list[str]]) -> Answer:
        assert self.token_service is not None
        wanted = self.token_service.get("authorization")
        if wanted is not None and request.headers.get("authorization") != wanted:
            return Answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}')
        return Answer(body=self.token_service["answer"])


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
