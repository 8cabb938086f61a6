"""Which images ``images`` shows: by name, label, age, or having no name."""

import fnmatch
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Self

from msgspec import Struct

from fswatch_builder.errors import UsageError
from fswatch_builder.oci.lookup import LocalImage, find_image
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store

_KEYS: Final = ("reference", "dangling", "label", "before", "since")


class Filters(Struct, frozen=True):
    """All of them have to hold. ``before`` and ``since``: ages that an image has to be above, or below."""

    patterns: tuple[str, ...] = ()
    dangling: frozenset[bool] = frozenset()
    labels: tuple[str, ...] = ()
    before: tuple[float, ...] = ()
    since: tuple[float, ...] = ()

    @classmethod
    def parse(cls, store: Store, repository: str | None, texts: Sequence[str]) -> Self:
        """From ``[REPOSITORY[:TAG]]`` and ``KEY=VALUE``. Raises UsageError, BaseImageError."""
        given: dict[str, list[str]] = {key: [] for key in _KEYS}
        for text in texts:
            key, equals, value = text.partition("=")
            if not equals or key not in given:
                raise UsageError(f"--filter {text}: want one of {', '.join(f'{known}=...' for known in _KEYS)}")
            if key == "dangling" and value not in ("true", "false"):
                raise UsageError(f"--filter {text}: want true or false")
            given[key].append(value)
        named = [] if repository is None else [repository]
        return cls(
            patterns=(*named, *given["reference"]),
            dangling=frozenset(value == "true" for value in given["dangling"]),
            labels=tuple(given["label"]),
            before=tuple(age(find_image(store, value)) for value in given["before"]),
            since=tuple(age(find_image(store, value)) for value in given["since"]),
        )

    def names(self, image: LocalImage) -> list[Reference]:
        """Those of its names that were asked for."""
        return [name for name in image.names if all(_matches(name, pattern) for pattern in self.patterns)]

    def take(self, image: LocalImage) -> bool:
        """Whether an image is to be shown."""
        return (
            (not self.patterns or bool(self.names(image)))
            and all(dangling != bool(image.names) for dangling in self.dangling)
            and all(age(image) > limit for limit in self.before)
            and all(age(image) < limit for limit in self.since)
            and all(_has(image.labels, label) for label in self.labels)
        )


def age(image: LocalImage) -> float:
    """Grows with it; what has no date is the oldest."""
    created: datetime | None = image.created
    return float("inf") if created is None else -created.replace(tzinfo=created.tzinfo or UTC).timestamp()


def _matches(name: Reference, pattern: str) -> bool:
    """As docker: without a tag it is for all of them, and a wildcard stands for no slash."""
    tagged = ":" in pattern.rpartition("/")[2]
    tag = f":{name.tag}" if tagged else ""
    if pattern == f"{name.registry}/{name.repository}{tag}":
        return True
    parts, wanted = f"{name.familiar_repository()}{tag}".split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _has(labels: Mapping[str, str], wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)
