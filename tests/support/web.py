"""A web server on the loopback: files with headers, redirects, and git repositories behind ``git http-backend``."""

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Page:
    """One answer. ``etag`` makes a request with it in If-None-Match a 304."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    authorization: str | None = None  # who has another one, or none, is answered with 401
    stated_length: int | None = None


@dataclass
class Web:
    """``pages`` by path; what else is asked for is a repository below ``repositories``, or a 404."""

    url: str
    repositories: Path
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[tuple[str, int]] = field(default_factory=list)  # method and path, status
    authorizations: list[str | None] = field(default_factory=list)  # of all requests, as they came
    git_authorization: str | None = None  # as ``Page`` has it, for all repositories
    git_redirect: str | None = None  # the address at which the repositories are

    def put(self, path: str, body: bytes | str, **more: object) -> str:
        self.pages[path] = Page(body.encode() if isinstance(body, str) else body, **more)  # type: ignore[arg-type]
        return self.url + path

    def statuses(self, path: str) -> list[int]:
        return [status for asked, status in self.requests if asked == path]


@contextmanager
def web_server(repositories: Path) -> Iterator[Web]:
    web = Web("", repositories)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            page = web.pages.get(path)
            web.authorizations.append(self.headers.get("Authorization"))
            if page is not None and page.authorization not in (None, self.headers.get("Authorization")):
                page = Page(b"", 401)
            if page is None and (".git/" in path):
                self._git()
                return
            page = page or Page(b"an error page", 404)
            not_modified = page.etag is not None and self.headers.get("If-None-Match") == page.etag
            status, body = (304, b"") if not_modified else (page.status, page.body)
            web.requests.append((path, status))
            self.send_response(status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            if page.etag is not None:
                self.send_header("ETag", page.etag)
            self.send_header("Content-Length", str(len(body) if page.stated_length is None else page.stated_length))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            web.authorizations.append(self.headers.get("Authorization"))
            self._git()

        def _git(self) -> None:
            """The CGI of git(1), told what RFC 3875 wants."""
            parts = urlsplit(self.path)
            denied = web.git_authorization not in (None, self.headers.get("Authorization"))
            if denied or web.git_redirect is not None:
                self.send_response(401 if denied else 302)
                self.send_header("Location", f"{web.git_redirect}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            web.requests.append((parts.path, 200))
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(web.repositories),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = [line.decode().partition(": ") for line in head.split(b"\r\n") if line]
            status = next((value for name, _, value in headers if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, _, value in headers:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Repository:
    """A git repository that a ``Web`` serves as ``/NAME.git``."""

    def __init__(self, web: Web, name: str) -> None:
        self.path = web.repositories / f"{name}.git"
        self.url = f"{web.url}/{name}.git"
        self.path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": "1000000000 +0000",
            "GIT_COMMITTER_DATE": "1000000000 +0000",
        }
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.path, env=environment, capture_output=True, check=True, text=True
        )
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        """The ID of a commit that has these files besides those there are."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=m")
        return self.git("rev-parse", "HEAD")
