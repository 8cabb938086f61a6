"""``fswatch-builder images``: what is in the store."""

import fnmatch
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from fswatch_builder.cli import image_options, options, values
from fswatch_builder.cli.ago import ago, local_time
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.listing import Row, form_of, lines
from fswatch_builder.cli.opening import open_store
from fswatch_builder.cli.printable import printable
from fswatch_builder.cli.render import size_text
from fswatch_builder.errors import UsageError
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.lookup import LocalImage, find_image, list_images
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store

NONE: Final = "<none>"
HEADINGS: Final = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Platform": "PLATFORM",
}
_FILTERS: Final = ("reference", "dangling", "label", "before", "since")

Repository = Annotated[
    str | None,
    typer.Argument(
        metavar="[REPOSITORY[:TAG]]", help="Only images of this name; * and ? stand for any characters but a slash."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print image IDs alone.")]
Digests = Annotated[bool, typer.Option("--digests", help="Show digests of manifests too.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        "-f",
        metavar="KEY=VALUE",
        help="reference=PATTERN, dangling=true, label=K[=V], before=IMAGE or since=IMAGE. Repeatable.",
    ),
]


@reported
def images_command(
    repository: Repository = None,
    quiet: Quiet = False,
    digests: Digests = False,
    no_trunc: image_options.NoTrunc = False,
    filters: Filters = None,
    format_: image_options.Format = None,
    json_: image_options.Json = False,
    store: options.StoreDirectory = None,
) -> None:
    """List the images of the local store, newest first.

    SIZE is that of the layers as they are stored, compressed. IMAGE ID is the digest of the configuration, as docker's.

    \b
    Examples:
      fswatch-builder images
      fswatch-builder images 'app*'
      fswatch-builder images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
      fswatch-builder images --json | jq -r .Digest
    """  # noqa: D301 - the escape keeps the lines as they are
    with open_store(values.store_directory(store)) as opened:
        listing = list_images(opened)
        wanted = _wanted(opened, repository, filters or ())
        kept = sorted(filter(wanted, listing.images), key=lambda image: _age(image.created))
        patterns = _patterns(repository, filters or ())
        rows = [row for image in kept for row in _rows(image, patterns, no_trunc, datetime.now(UTC))]
        columns = ["Repository", "Tag", *(["Digest"] if digests else []), "ID", "CreatedSince", "Size"]
        if any(image.platform != Platform.host() for image in kept):
            columns.append("Platform")
        shown: Iterable[str] = (
            (row["ID"] for row in rows) if quiet else lines(rows, HEADINGS, columns, form_of(format_, json_))
        )
        for line in shown:
            print(line)
        for error in listing.damaged:
            print(f"WARN: {printable(error.what)}", file=sys.stderr)


def _age(created: datetime | None) -> float:
    """Newest first; what has no date comes last."""
    return float("inf") if created is None else -created.replace(tzinfo=created.tzinfo or UTC).timestamp()


def _rows(image: LocalImage, patterns: Sequence[str], no_trunc: bool, now: datetime) -> Iterator[Row]:
    """One for each name that was asked for; one for an image that has none."""
    names: list[Reference | None] = [name for name in image.names if all(_matches(name, p) for p in patterns)]
    for name in names or [None]:
        yield {
            "Repository": name.familiar_repository() if name else NONE,
            "Tag": (name.tag or NONE) if name else NONE,
            "Digest": str(image.manifest),
            "ID": str(image.config) if no_trunc else image.config.hex[:12],
            "CreatedSince": ago(image.created, now),
            "CreatedAt": local_time(image.created),
            "Size": size_text(image.size),
            "Platform": str(image.platform),
        }


def _patterns(repository: str | None, filters: Sequence[str]) -> list[str]:
    named = [] if repository is None else [repository]
    return named + [value for key, _, value in (text.partition("=") for text in filters) if key == "reference"]


def _matches(name: Reference, pattern: str) -> bool:
    """As docker: without a tag it is for all of them, and a wildcard stands for no slash."""
    tagged = ":" in pattern.rpartition("/")[2]
    tag = f":{name.tag}" if tagged else ""
    if pattern == f"{name.registry}/{name.repository}{tag}":
        return True
    parts, wanted = f"{name.familiar_repository()}{tag}".split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _wanted(store: Store, repository: str | None, filters: Sequence[str]) -> Callable[[LocalImage], bool]:
    """Whether an image passes everything that was asked for. Raises UsageError, BaseImageError."""
    patterns = _patterns(repository, filters)
    checks: list[Callable[[LocalImage], bool]] = []
    if patterns:
        checks.append(lambda image: any(all(_matches(name, p) for p in patterns) for name in image.names))
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals or key not in _FILTERS:
            raise UsageError(f"--filter {text}: want one of {', '.join(f'{known}=...' for known in _FILTERS)}")
        if key == "dangling":
            if value not in ("true", "false"):
                raise UsageError(f"--filter {text}: want true or false")
            checks.append(lambda image, dangling=value == "true": dangling != bool(image.names))  # type: ignore[misc]
        elif key == "label":
            checks.append(lambda image, label=value: _has_label(store, image, label))  # type: ignore[misc]
        elif key in ("before", "since"):
            limit = _age(find_image(store, value).created)
            before = key == "before"
            checks.append(
                lambda image, limit=limit, before=before: (
                    _age(image.created) > limit  # type: ignore[misc]
                    if before
                    else _age(image.created) < limit
                )
            )
    return lambda image: all(check(image) for check in checks)


def _has_label(store: Store, image: LocalImage, label: str) -> bool:
    name, equals, value = label.partition("=")
    labels = store.load_image(image.manifest).config.labels
    return name in labels and (not equals or labels[name] == value)
