"""How a registry wants to be asked: Basic, or a bearer token (distribution spec, "token authentication")."""

import base64
import re
import threading
import time
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from fswatch_builder.errors import RegistryError
from fswatch_builder.oci.credentials import Credentials, Lookup

_PAIR: Final = re.compile(r'\s*,?\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME: Final = re.compile(r"\s*,?\s*([A-Za-z]+)(?=\s|,|$)(?!\s*=)")
_TOKEN_SECONDS: Final = 60  # the life of a token that does not say (distribution spec)
_MARGIN_SECONDS: Final = 10


class Challenge(Struct, frozen=True):
    """One way to authenticate that a 401 offers. ``scheme`` is in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: list[str]) -> list[Challenge]:
    """All challenges in the WWW-Authenticate headers; what cannot be read ends its header."""
    challenges: list[Challenge] = []
    for header in headers:
        at = 0
        while scheme := _SCHEME.match(header, at):
            at = scheme.end()
            parameters: dict[str, str] = {}
            while pair := _PAIR.match(header, at):
                at = pair.end()
                quoted = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
                parameters.setdefault(pair[1].lower(), quoted)
            challenges.append(Challenge(scheme[1].lower(), parameters))
    return challenges


class TokenRequest(Struct, frozen=True):
    """What to ask a token service. ``form`` is set for OAuth2's POST, else it is a GET with ``authorization``."""

    realm: str
    query: Mapping[str, str]
    authorization: str | None
    form: Mapping[str, str] | None


class _Token(Struct, frozen=True):
    header: str
    expires: float  # time.monotonic()


class Authorization:
    """What one registry has asked for so far. Used by several threads."""

    def __init__(self, registry: str, lookup: Lookup) -> None:
        self._registry = registry
        self._lookup = lookup
        self._tokens: dict[str, _Token] = {}
        self._lock = threading.Lock()

    def header(self, scope: str) -> str | None:
        """The Authorization header to send, if one is known already."""
        with self._lock:
            token = self._tokens.get(scope)
            return token.header if token is not None and token.expires > time.monotonic() else None

    def answer(self, challenges: list[Challenge], scope: str) -> TokenRequest | None:
        """What to do about a 401: ask for a token, or (None) send the ``header`` known now. Raises RegistryError."""
        credentials = self._lookup.credentials
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                return self._token_request(challenge, scope)
            if challenge.scheme == "basic" and credentials is not None and credentials.username:
                self._remember(scope, _basic(credentials), float("inf"))
                return None
        raise self.refused()

    def _token_request(self, challenge: Challenge, scope: str) -> TokenRequest:
        credentials = self._lookup.credentials
        query = {"scope": challenge.parameters.get("scope") or scope}
        if service := challenge.parameters.get("service"):
            query["service"] = service
        realm = challenge.parameters["realm"]
        if credentials is not None and credentials.identity_token:
            form = {**query, "grant_type": "refresh_token", "refresh_token": credentials.identity_token}
            return TokenRequest(realm, {}, None, {**form, "client_id": "fswatch-builder"})
        return TokenRequest(realm, query, _basic(credentials) if credentials is not None else None, None)

    def accept_token(self, scope: str, token: str, expires_in: int) -> None:
        """Keeps a token for the rest of its life (``expires_in`` seconds, 0 if it does not say)."""
        lifetime = expires_in if expires_in > 0 else _TOKEN_SECONDS
        self._remember(scope, f"Bearer {token}", time.monotonic() + max(lifetime - _MARGIN_SECONDS, 1))

    def _remember(self, scope: str, header: str, expires: float) -> None:
        with self._lock:
            self._tokens[scope] = _Token(header, expires)

    def refused(self) -> RegistryError:
        """The error for a final 401 or 403."""
        if self._lookup.credentials is not None:
            return RegistryError(
                f"{self._registry} does not accept the credentials for it, or they give no access to this image",
                hint=f"check the name; log in again: docker login {self._registry}",
            )
        return RegistryError(
            f"{self._registry} wants credentials, or the image does not exist ({self._lookup.why})",
            hint=f"check the name; log in: docker login {self._registry}",
        )


def _basic(credentials: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
