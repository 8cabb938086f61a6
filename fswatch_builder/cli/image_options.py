"""The options of commands that look at images of the store."""

from typing import Annotated

import typer

from fswatch_builder.cli import values
from fswatch_builder.model.platform import Platform

Image = Annotated[str, typer.Argument(metavar="IMAGE", help="NAME[:TAG], NAME@DIGEST, or the start of an image ID.")]
Images = Annotated[
    list[str], typer.Argument(metavar="IMAGE...", help="NAME[:TAG], NAME@DIGEST, or the start of an image ID.")
]
PlatformName = Annotated[
    str | None,
    typer.Option(
        "--platform",
        metavar="OS/ARCH",
        envvar="FSWATCH_BUILDER_PLATFORM",
        help="Which of the images of a name. [default: this machine's, else the only one]",
    ),
]
NoTrunc = Annotated[bool, typer.Option("--no-trunc", help="Do not shorten anything.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORM",
        help="table, json (an object a line), or a template of {{.Field}}; 'table {{.A}}\\t{{.B}}' has headings.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]


def platform(text: str | None) -> Platform | None:
    """The platform asked for, if one is."""
    return None if text is None else values.platform(text)
