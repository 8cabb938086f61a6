"""Requests to one registry: scheme, redirects, authorization, repetition. Bodies are streamed."""

import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, TypeVar

import httpx
import msgspec

from fswatch_builder.connections import Connections
from fswatch_builder.errors import RegistryError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.oci import media_types
from fswatch_builder.oci.credentials import find_credentials
from fswatch_builder.oci.documents import MAX_DOCUMENT
from fswatch_builder.oci.reference import DOCKER_HUB, Reference
from fswatch_builder.oci.registry.auth import Authorization, TokenRequest, parse_challenges
from fswatch_builder.oci.registry.progress import Progress, Received
from fswatch_builder.oci.registry.retry import PASSING, RetryPolicy
from fswatch_builder.oci.store import Store

_MAX_REDIRECTS: Final = 5
_MAX_ERROR_BODY: Final = 64 << 10
_MAX_TOKEN_BODY: Final = 1 << 20
_CHUNK: Final = 256 << 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_T = TypeVar("_T")
_TIMEOUT: Final = httpx.Timeout(30.0, connect=15.0)  # seconds without a byte, not for the whole
_ACCEPT: Final = ", ".join(
    (media_types.OCI_INDEX, media_types.OCI_MANIFEST, media_types.DOCKER_LIST, media_types.DOCKER_MANIFEST)
)


class _TokenAnswer(msgspec.Struct):
    token: str = ""
    access_token: str = ""
    expires_in: int = 0


class _ErrorLine(msgspec.Struct):
    code: str = ""
    message: str = ""


class _ErrorAnswer(msgspec.Struct):
    errors: list[_ErrorLine] | None = None


class _PassingError(Exception):
    """A failure that may pass."""

    def __init__(self, error: RegistryError, retry_after: str | None = None) -> None:
        super().__init__(error.what)
        self.error = error
        self.retry_after = retry_after


def is_loopback(host: str) -> bool:
    """Whether ``host`` (no port) is this machine itself, the only place plain http is spoken to."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class RegistryClient:
    """One registry, asked as one user. May be used by several threads."""

    def __init__(self, registry: str, policy: RetryPolicy = RetryPolicy()) -> None:  # noqa: B008 - frozen
        self._registry = registry
        self._policy = policy
        self._authority = "registry-1.docker.io" if registry == DOCKER_HUB else registry
        host = httpx.URL(f"https://{self._authority}").host
        self._local = is_loopback(host)
        self._authorization = Authorization(registry, find_credentials(registry))
        self._http = httpx.Client(
            verify=_trust(),
            timeout=_TIMEOUT,
            follow_redirects=False,
            headers={"User-Agent": "fswatch-builder", "Accept-Encoding": "identity"},
            mounts={f"all://{'[' + host + ']' if ':' in host else host}": None} if self._local else None,
        )
        self._scheme = ""
        self._stopped = threading.Event()
        self._connections = Connections()
        self._extensions = {"trace": self._connections.trace}

    def stop(self) -> None:
        """Ends what other threads do here, whatever they wait for; a connection in the making, once it is made."""
        self._stopped.set()
        self._connections.cut()

    def _pause(self, seconds: float) -> None:
        self._stopped.wait(seconds)

    def close(self) -> None:
        """Ends all connections."""
        self._http.close()
        self._connections.close()

    def manifest(self, reference: Reference, digest: Digest | None = None) -> tuple[bytes, str]:
        """A manifest or index and the media type it was sent as. By ``digest``, else by what ``reference`` says."""
        digest = digest or reference.digest
        what = reference.familiar() if digest == reference.digest else f"manifest {digest} of {reference.familiar()}"

        def receive(response: httpx.Response) -> tuple[bytes, str]:
            content = _body(response, MAX_DOCUMENT, what)
            stated = digest.text if digest is not None else response.headers.get("docker-content-digest", "")
            if stated.startswith("sha256:") and stated != Digest.of(content).text:
                raise RegistryError(
                    f"{self._registry} sent wrong bytes for {what}: their digest is {Digest.of(content)}"
                )
            return content, response.headers.get("content-type", "").partition(";")[0].strip()

        path = f"manifests/{digest if digest is not None else reference.tag}"
        return self._get(reference, path, what, receive, {"Accept": _ACCEPT})

    def blob(self, reference: Reference, blob: Descriptor, store: Store, progress: Progress) -> None:
        """Downloads a blob into the store, checking size and digest on the way. ``stop`` ends it."""
        what = f"blob {blob.digest} of {reference.familiar()}"

        def receive(response: httpx.Response) -> None:
            with store.new_blob(blob.digest) as writer:
                for chunk in response.iter_raw(_CHUNK):
                    if self._stopped.is_set():
                        return
                    writer.write(chunk)
                    if writer.size > blob.size:
                        break
                    progress.put(Received(blob.digest, writer.size, blob.size))
                if writer.size != blob.size or writer.digest != blob.digest:
                    raise RegistryError(
                        f"{self._registry} sent wrong bytes for {what}: {writer.size} bytes with digest {writer.digest}"
                        f" instead of {blob.size} bytes"
                    )
                writer.commit()

        self._get(reference, f"blobs/{blob.digest}", what, receive, {})

    def _get(
        self,
        reference: Reference,
        path: str,
        what: str,
        receive: Callable[[httpx.Response], _T],
        headers: Mapping[str, str],
    ) -> _T:
        """One GET, repeated as the policy says, until ``receive`` has taken the whole answer."""
        waited = 0.0
        attempt = 1
        while True:
            try:
                url = httpx.URL(f"{self._origin()}/v2/{reference.repository}/{path}")
                with self._authorized(url, f"repository:{reference.repository}:pull", headers) as response:
                    if response.status_code == HTTPStatus.OK:
                        return receive(response)
                    raise self._status_error(response, what)
            except (_PassingError, httpx.TransportError) as failure:
                error, passing = self._explain(failure)
                retry_after = failure.retry_after if isinstance(failure, _PassingError) else None
                wait = self._policy.wait(attempt, waited, retry_after) if passing else None
                if wait is None:
                    raise error from failure
            except (httpx.HTTPError, httpx.InvalidURL) as failure:
                raise RegistryError(
                    f"{self._registry} gave an answer that makes no sense: {_printable(failure)}"
                ) from failure
            self._pause(wait)
            if self._stopped.is_set():
                raise error
            waited += wait
            attempt += 1

    def _origin(self) -> str:
        """``https://host``; for this machine itself ``http://`` if TLS is not spoken there."""
        if not self._scheme:
            self._scheme = "https"
            if self._local:
                try:
                    self._http.head(f"https://{self._authority}/v2/", extensions=self._extensions)
                except httpx.TransportError as error:
                    self._scheme = "https" if _cause(error, ssl.SSLCertVerificationError) else "http"
        return f"{self._scheme}://{self._authority}"

    @contextmanager
    def _authorized(self, url: httpx.URL, scope: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The answer to a GET; a 401 of the registry's own is answered once with what it wants."""
        for again in (False, True):
            header = self._authorization.header(scope)
            sent = {**headers, "Authorization": header} if header is not None else dict(headers)
            with self._redirected(url, sent) as response:
                own = _same_origin(response.url, url)
                if response.status_code != HTTPStatus.UNAUTHORIZED or not own or again:
                    yield response
                    return
                challenges = parse_challenges(response.headers.get_list("www-authenticate"))
            request = self._authorization.answer(challenges, scope)
            if request is not None:
                self._fetch_token(request, scope)

    @contextmanager
    def _redirected(self, url: httpx.URL, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Follows redirects. Credentials stay with the registry: to another origin goes a request without any."""
        first = url
        for _ in range(_MAX_REDIRECTS + 1):
            self._check_scheme(url)
            sent = headers if _same_origin(url, first) else {k: v for k, v in headers.items() if k != "Authorization"}
            with self._http.stream("GET", url, headers=sent, extensions=self._extensions) as response:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or location is None:
                    yield response
                    return
                # Relative to the last URL, and without a user name that a hostile server may have put there.
                url = response.url.join(location).copy_with(username="", password="")
        raise RegistryError(f"{self._registry} redirects more than {_MAX_REDIRECTS} times")

    def _check_scheme(self, url: httpx.URL) -> None:
        if url.scheme == "https" or (url.scheme == "http" and self._local and is_loopback(url.host)):
            return
        raise RegistryError(
            f"{self._registry} leads to {url.scheme}://{url.host}, which is not encrypted",
            hint="plain http is spoken to this machine itself only (localhost)",
        )

    def _fetch_token(self, request: TokenRequest, scope: str) -> None:
        url = httpx.URL(request.realm)
        self._check_scheme(url)
        headers = {"Authorization": request.authorization} if request.authorization is not None else {}
        if request.form is not None:
            asked = self._http.stream("POST", url, data=dict(request.form), extensions=self._extensions)
        else:
            whole = url.copy_merge_params(request.query)
            asked = self._http.stream("GET", whole, headers=headers, extensions=self._extensions)
        with asked as answer:
            if answer.status_code != HTTPStatus.OK:
                raise self._status_error(answer, f"a token from {url.host}")
            content = _body(answer, _MAX_TOKEN_BODY, f"the token from {url.host}")
        try:
            token = msgspec.json.decode(content, type=_TokenAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise RegistryError(f"{url.host} gave no valid token for {self._registry}") from None
        text = token.token or token.access_token
        if not text or not text.isascii() or not text.isprintable():  # one that is no header would show in an error
            raise RegistryError(f"{url.host} gave no valid token for {self._registry}")
        self._authorization.accept_token(scope, text, token.expires_in)

    def _status_error(self, response: httpx.Response, what: str) -> Exception:
        status = response.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return self._authorization.refused()
        if status == HTTPStatus.NOT_FOUND:
            return RegistryError(
                f"{self._registry} does not have {what}", hint="check the spelling of the name and tag"
            )
        reason = _reason(response)
        error = RegistryError(f"{self._registry} answered {status} for {what}{': ' + reason if reason else ''}")
        if status in PASSING:
            if status == HTTPStatus.TOO_MANY_REQUESTS:
                error.hint = f"wait, or log in for a higher limit: docker login {self._registry}"
            return _PassingError(error, response.headers.get("retry-after"))
        return error

    def _explain(self, failure: "_PassingError | httpx.TransportError") -> tuple[RegistryError, bool]:
        """The error for the user, and whether it may pass."""
        if isinstance(failure, _PassingError):
            return failure.error, True
        host = failure.request.url.host
        if unknown := _cause(failure, socket.gaierror):
            error = RegistryError(
                f"the host {host} of {self._registry} cannot be found: {unknown.strerror}",
                hint="check the name and the network; a local image needs none: --build-context NAME=VALUE, or load",
            )
            return error, unknown.errno == socket.EAI_AGAIN
        if untrusted := _cause(failure, ssl.SSLCertVerificationError):
            return RegistryError(
                f"the certificate of {host} is not trusted: {untrusted.verify_message}",
                hint="add its authority to the system's certificates, or name it with SSL_CERT_FILE",
            ), False
        if isinstance(failure, httpx.UnsupportedProtocol):
            return RegistryError(f"{self._registry} leads to a URL that is not http: {_printable(failure)}"), False
        return RegistryError(
            f"no connection to {host}: {_printable(failure) or type(failure).__name__}",
            hint="check the network, then try again",
        ), True


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _trust() -> ssl.SSLContext:
    """The system's certificates, as administrators set them up; certifi's where the system has none."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not os.path.isfile(paths.openssl_cafile) and not (
        os.path.isdir(paths.openssl_capath) and os.listdir(paths.openssl_capath)
    ):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


_E = TypeVar("_E", bound=BaseException)


def _cause(error: BaseException, kind: type[_E]) -> _E | None:
    """The first error of a kind in a chain of causes."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, kind):
            return found
        found = found.__cause__ or found.__context__
    return None


def _body(response: httpx.Response, limit: int, what: str) -> bytes:
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > limit:
            raise RegistryError(f"{what} is larger than {limit >> 10} KiB")
    return bytes(content)


def _reason(response: httpx.Response) -> str:
    """What the registry says about an error, as far as it can be understood and printed."""
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > _MAX_ERROR_BODY:
            return ""
    try:
        answer = msgspec.json.decode(bytes(content), type=_ErrorAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return "; ".join(_printable(line.message or line.code) for line in (answer.errors or [])[:3])


def _printable(text: object) -> str:
    """At most 300 characters, none of which moves a terminal's cursor."""
    return "".join(character if character.isprintable() else "?" for character in str(text))[:300]
