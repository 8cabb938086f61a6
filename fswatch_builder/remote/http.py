"""Downloads over http and https, for ADD and for contexts."""

import email.utils
import hashlib
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from fswatch_builder import stopping
from fswatch_builder.connections import Connections
from fswatch_builder.errors import BuildContextError
from fswatch_builder.model.remote import HttpFile
from fswatch_builder.remote.address import shown
from fswatch_builder.remote.credentials import ANONYMOUS, Credentials

if TYPE_CHECKING:
    import httpx

_MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 256 << 10
_TIMEOUT_S: Final = 30.0  # without a byte, not for the whole
_UNNAMED: Final = "__unnamed__"


class Downloaded(Struct, frozen=True):
    """What a URL gave. ``modified``: seconds, of its Last-Modified, else 0; ``etag`` is to ask again with."""

    sha256: str
    modified: int
    etag: str | None


def file_name(url: str) -> str:
    """The last part of the path of a URL, as the name of a file."""
    name = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
    return _UNNAMED if not name or name in (".", "..") or "/" in name or "\0" in name else name


def download(
    source: HttpFile, path: str, credentials: Credentials = ANONYMOUS, max_bytes: int | None = None
) -> Downloaded:
    """Writes the content to a new file, mode 0600, its time that of Last-Modified.

    Raises BuildContextError: an answer other than 200, more than ``max_bytes``, a checksum that differs.
    """
    with _answer(source.url, None, credentials) as response:
        hasher = hashlib.sha256()
        with open(path, "xb", opener=_private) as file:
            size = 0
            for chunk in response.iter_raw(_CHUNK):
                stopping.check()
                size += len(chunk)
                if max_bytes is not None and size > max_bytes:
                    raise BuildContextError(
                        f"{shown(source.url)} is larger than the limit of {max_bytes} bytes (--unpack-limit)"
                    )
                hasher.update(chunk)
                file.write(chunk)
        found = _described(response, hasher.hexdigest())
    if source.sha256 not in (None, found.sha256):
        os.unlink(path)
        raise BuildContextError(
            f"digest mismatch for {shown(source.url)}: sha256:{found.sha256}, expected sha256:{source.sha256}",
            hint="if the change is wanted, give the new checksum",
        )
    os.utime(path, (found.modified, found.modified))
    return found


def is_unchanged(source: HttpFile, known: Downloaded, credentials: Credentials = ANONYMOUS) -> bool:
    """Whether the server says that the URL still gives what it gave. Raises BuildContextError."""
    if known.etag is None:
        return False
    with _answer(source.url, known.etag, credentials) as response:
        return response.status_code == HTTPStatus.NOT_MODIFIED


def _described(response: "httpx.Response", sha256: str) -> Downloaded:
    modified = 0
    with suppress(ValueError, OverflowError):  # no time, or none that can be read
        modified = max(0, int(email.utils.parsedate_to_datetime(response.headers.get("last-modified", "")).timestamp()))
    etag = response.headers.get("etag")
    return Downloaded(sha256, modified, etag if etag and etag.isascii() and etag.isprintable() else None)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def _answer(url: str, etag: str | None, credentials: Credentials) -> "Iterator[httpx.Response]":
    """The answer to a GET, redirects followed to http and https alone, 200 or, if ``etag`` was sent, 304.

    Credentials go where ``url`` leads, same scheme, host and port, and nowhere else that a redirect names.
    """
    import httpx

    # As it lies there: a compressed transfer would be another file, with another digest.
    headers = {"User-Agent": "fswatch-builder", "Accept-Encoding": "identity"}
    if etag is not None:
        headers["If-None-Match"] = etag
    authorization = credentials.for_file(url)
    try:
        at = start = httpx.URL(url)
        if authorization is not None and at.userinfo:  # of the two the secret counts, as in BuildKit
            at = start = at.copy_with(userinfo=b"")
        with (
            Connections() as connections,
            stopping.ending(connections.cut),
            httpx.Client(verify=ssl.create_default_context(), timeout=_TIMEOUT_S, follow_redirects=False) as client,
        ):
            for _ in range(_MAX_REDIRECTS + 1):
                is_meant = authorization is not None and _origin(at) == _origin(start)
                private = {"Authorization": authorization} if authorization is not None and is_meant else {}
                extensions = {"trace": connections.trace}
                with client.stream("GET", at, headers=headers | private, extensions=extensions) as response:
                    location = response.headers.get("location")
                    if response.status_code in _REDIRECTS and location is not None:
                        at = _redirected(response.url, location, url)
                        continue
                    if response.status_code not in (HTTPStatus.OK, *([HTTPStatus.NOT_MODIFIED] if etag else [])):
                        raise BuildContextError(
                            f"{shown(url)}: the server answered {response.status_code} {response.reason_phrase}",
                            hint=_way_in(response.status_code, start.host),
                        )
                    yield response
                    return
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        stopping.check()
        raise BuildContextError(f"cannot fetch {shown(url)}: {error or type(error).__name__}") from error
    raise BuildContextError(f"{shown(url)} redirects more than {_MAX_REDIRECTS} times")


def _origin(url: "httpx.URL") -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _way_in(status: int, host: str) -> str | None:
    if status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return None
    return f"a token for it is given as --secret id=HTTP_AUTH_TOKEN_{host},env=NAME"


def _redirected(last: "httpx.URL", location: str, first: str) -> "httpx.URL":
    target = last.join(location)
    if target.scheme not in ("http", "https") or (last.scheme == "https" and target.scheme == "http"):
        raise BuildContextError(
            f"{shown(first)} redirects to {target.scheme}://{target.host}, which is not followed",
            hint="name the address it leads to, if you trust it",
        )
    return target
