"""Names of images, by the rules of Docker Hub and the distribution grammar (github.com/distribution/reference)."""

import re
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.model.digest import Digest

DOCKER_HUB: Final = "docker.io"
DEFAULT_TAG: Final = "latest"
#: Before a name where other things could stand as well.
IMAGE_SCHEME: Final = "docker-image://"
_MAX_REPOSITORY: Final = 255

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PATH_PART}(?:/{_PATH_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HEX_ID = re.compile(r"[0-9a-f]{64}")


class Reference(Struct, frozen=True, order=True):
    """The full name of an image. Invariant: a tag, a digest, or both."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    def __post_init__(self) -> None:
        if self.tag is None and self.digest is None:
            raise ValueError(f"{self.registry}/{self.repository} has neither a tag nor a digest")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From a name as users write it: ``python:3.12-slim``, ``localhost:5000/x@sha256:...``. Raises ValueError."""
        if _HEX_ID.fullmatch(text):
            raise ValueError(f"{text!r} is 64 hexadecimal digits, which is an image ID, not a name")
        name, at, digest_text = text.partition("@")
        try:
            digest = Digest(digest_text) if at else None
        except ValueError as error:
            raise ValueError(f"not an image name: {text!r}: {error}") from None
        head, slash, last = name.rpartition("/")
        last, colon, tag = last.partition(":")
        name = head + slash + last
        if colon and not _TAG.fullmatch(tag):
            raise ValueError(f"not an image name: {text!r}: {tag!r} is not a tag")
        registry, repository = _split(name)
        if not _DOMAIN.fullmatch(registry):
            raise ValueError(f"not an image name: {text!r}: {registry!r} is not a registry host")
        if not _PATH.fullmatch(repository):
            lower = ", and the name must be lower case" if repository != repository.lower() else ""
            raise ValueError(f"not an image name: {text!r}: {repository!r} is not a repository{lower}")
        if len(repository) > _MAX_REPOSITORY:
            raise ValueError(f"not an image name: the repository is longer than {_MAX_REPOSITORY} characters")
        return cls(registry, repository, tag if colon else (None if digest else DEFAULT_TAG), digest)

    def __str__(self) -> str:
        """In full: ``docker.io/library/python:3.12-slim``."""
        return f"{self.registry}/{self.repository}" + self._suffix()

    def familiar(self) -> str:
        """As users write it: ``python:3.12-slim``."""
        return self.familiar_repository() + self._suffix()

    def familiar_repository(self) -> str:
        """Without tag and digest, as users write it: ``python``."""
        if self.registry != DOCKER_HUB:
            return f"{self.registry}/{self.repository}"
        return self.repository.removeprefix("library/") if self.repository.count("/") == 1 else self.repository

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return tag + (f"@{self.digest}" if self.digest is not None else "")

    def without_digest(self) -> Self:
        """By its tag alone (``latest`` if it has none)."""
        return replace(self, tag=self.tag or DEFAULT_TAG, digest=None)


def _split(name: str) -> tuple[str, str]:
    """Registry and repository. A first part with a dot, port or upper-case letter is a host; so is ``localhost``."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        registry = DOCKER_HUB if first in ("index.docker.io", "registry-1.docker.io") else first
        repository = rest
    else:
        registry, repository = DOCKER_HUB, name
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository
