"""Who we are to servers that we fetch from: secrets of the command line by the names that BuildKit gives them.

HTTP_AUTH_HEADER_HOST, HTTP_AUTH_TOKEN_HOST     files by http and https; the second, a bearer token, goes before
GIT_AUTH_HEADER.HOST[:PORT], GIT_AUTH_HEADER    repositories by http and https: the value of Authorization
GIT_AUTH_TOKEN.HOST[:PORT], GIT_AUTH_TOKEN      likewise: a token, as GitHub and others take one for a password

Each goes to the one server that an address names, and to no other that this one sends us to. No message holds a value.
"""

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct, field

from fswatch_builder.errors import UsageError


class Credentials(Struct, frozen=True):
    """``secrets`` by their ids; ``agent`` is the socket of an SSH agent, for repositories by ssh."""

    secrets: Mapping[str, bytes] = field(default_factory=dict)
    agent: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(agent={self.agent!r})"  # the secrets are nobody's to see

    def for_file(self, url: str) -> str | None:
        """The value of Authorization for a file; None if there is none. Raises UsageError."""
        host = urlsplit(url).hostname or ""
        token = self._text(f"HTTP_AUTH_TOKEN_{host}")
        return self._text(f"HTTP_AUTH_HEADER_{host}") if token is None else f"Bearer {token}"

    def for_repository(self, remote: str) -> tuple[str, str] | None:
        """For a repository: the address that it holds for, and the value of Authorization. Raises UsageError."""
        parts = urlsplit(remote)
        if parts.scheme not in ("http", "https"):
            return None
        host = parts.netloc.rpartition("@")[2]
        for suffix in (f".{host}", ""):
            header = self._text(f"GIT_AUTH_HEADER{suffix}")
            if header is not None:
                return f"{parts.scheme}://{host}/", header
            token = self._text(f"GIT_AUTH_TOKEN{suffix}")
            if token is not None:
                basic = b64encode(f"x-access-token:{token}".encode()).decode()
                return f"{parts.scheme}://{host}/", f"basic {basic}"
        return None

    def _text(self, name: str) -> str | None:
        """Without the line end that a file ends with."""
        value = self.secrets.get(name)
        if value is None:
            return None
        text = value.decode("latin-1").rstrip("\r\n")
        if not text.isascii() or not text.isprintable():
            raise UsageError(f"secret {name}: it holds what no HTTP header can: other than printable ASCII")
        return text


#: Nobody.
ANONYMOUS = Credentials()
