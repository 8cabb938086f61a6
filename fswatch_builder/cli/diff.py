"""``fswatch-builder diff``: what differs between two images."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final

import typer
from msgspec import Struct
from msgspec.structs import asdict

from fswatch_builder._native import Change
from fswatch_builder.changes.images import ConfigDifference, ImageDifference, compare_images
from fswatch_builder.cli import image_options, options, values
from fswatch_builder.cli.change_json import change_member
from fswatch_builder.cli.change_text import change_lines, consequences, totals
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.opening import open_store
from fswatch_builder.cli.patience import patience
from fswatch_builder.cli.printable import json_text, printable_name
from fswatch_builder.cli.render import counted
from fswatch_builder.oci.lookup import LocalImage, find_image

VERSION: Final = 1
DIFFERENT: Final = 1
CONFIG: Final = "config"
_SETS: Final = ("Env", "ExposedPorts", "Volumes")
_REASONS: Final = ("content", "target", "rdev", "mode", "uid", "gid", "xattrs", "links", "mtime", CONFIG)

First = Annotated[
    str,
    typer.Argument(
        metavar="A", help="An image: name, digest, or the start of its ID.", autocompletion=image_options.known_names
    ),
]
Second = Annotated[
    str,
    typer.Argument(metavar="B", help="The image that it is compared with.", autocompletion=image_options.known_names),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="WHAT",
        help=f"Leave out what differs in nothing else: {', '.join(_REASONS[:-1])} or {_REASONS[-1]}. Repeatable.",
    ),
]
Everything = Annotated[
    bool, typer.Option("--all", help="Show directories too of which the time alone differs, by what is listed.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document, see docs/cli.md.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing: the exit status tells.")]


@reported
def diff_command(
    a: First,
    b: Second,
    ignore: Ignore = None,
    everything: Everything = False,
    json_: Json = False,
    quiet: Quiet = False,
    platform: image_options.PlatformName = None,
    store: options.StoreDirectory = None,
) -> None:
    """Show what differs between two images: their files, and how they run.

    A is added in B, M modified, R replaced by something of another kind, D deleted with all below. The exit status is
    0 for no difference, 1 for some, and another one if they cannot be compared, as with diff.

    \b
    Examples:
      fswatch-builder diff app:1 app:2
      fswatch-builder diff --ignore mtime app:1 app:2        # two builds of the same
      fswatch-builder diff --json app:1 app:2 | jq -r '.changes[].path'
    """  # noqa: D301 - the escape keeps the lines as they are
    ignored = frozenset(values.choice("--ignore", what, _REASONS) for what in ignore or ())
    wanted = image_options.platform(platform)
    with open_store(values.store_directory(store)) as opened:
        found = [find_image(opened, text, wanted) for text in (a, b)]
        one, other = (opened.load_image(image.manifest) for image in found)
        with patience(f"reading the layers of {a} and {b}"):
            difference = compare_images(opened, one, other)
    told = _without(difference, ignored)
    if json_:
        print(json_text(_document(found, told), indent=2))
    elif not quiet:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for line in _lines(told, len(one.layers), len(other.layers), everything=everything, colour=colour):
            print(line)
    if told.changes or told.config:
        sys.stdout.flush()
        raise SystemExit(DIFFERENT)


def _without(difference: ImageDifference, ignored: frozenset[str]) -> ImageDifference:
    changes = [change for change in difference.changes if not change.why or not change.why <= ignored]
    return ImageDifference(changes, () if CONFIG in ignored else difference.config, difference.shared)


def _lines(difference: ImageDifference, one: int, other: int, *, everything: bool, colour: bool) -> Iterator[str]:
    changes: Sequence[Change] = difference.changes
    quiet = set() if everything else consequences(changes)
    yield from change_lines(changes, quiet, colour=colour, top="/")
    yield from (f"config {field.name}: {printable_name(_in_words(field))}" for field in difference.config)
    if quiet:
        directories = counted(len(quiet), "directory", "directories")
        yield f"note: not shown: {directories} of which the time alone differs, by what is listed above (--all)"
    kinds = [change.kind for change in changes if change.path not in quiet]
    files = totals(kinds) if kinds else "the files are the same"
    yield f"{files}; {counted(difference.shared, 'layer')} of {one} and {other} the same"


def _in_words(field: ConfigDifference) -> str:
    """``-A=1 +A=2`` for what is a set to its reader, the two values for anything else."""
    before, after = _items(field.name, field.before), _items(field.name, field.after)
    if set(before) == set(after):
        return f"{json_text(_plain(field.before))} -> {json_text(_plain(field.after))}"
    gone = [f"-{item}" for item in before if item not in after]
    return " ".join([*gone, *(f"+{item}" for item in after if item not in before)])


def _items(name: str, value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key}={text}" for key, text in value.items()]
    return [str(item) for item in value] if name in _SETS and isinstance(value, tuple) else []


def _plain(value: object) -> object:
    return asdict(value) if isinstance(value, Struct) else value


def _document(images: Sequence[LocalImage], difference: ImageDifference) -> Mapping[str, object]:
    return {
        "version": VERSION,
        "images": [
            {
                "names": [name.familiar() for name in image.names],
                "id": str(image.config),
                "digest": str(image.manifest),
                "platform": str(image.platform),
            }
            for image in images
        ],
        "same": not difference.changes and not difference.config,
        "shared_layers": difference.shared,
        "config": [
            {"name": field.name, "before": _plain(field.before), "after": _plain(field.after)}
            for field in difference.config
        ],
        "changes": [change_member(change) for change in difference.changes],
    }
