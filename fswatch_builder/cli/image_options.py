"""The options of commands that look at images of the store."""

import os
from typing import Annotated

import typer

from fswatch_builder.cli import values
from fswatch_builder.errors import BuildError
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.names import Names


def known_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """For the shell: the names in the store that start so. Where there is no store there are none, and none is made."""
    directory = values.store_directory(ctx.params.get("store") or os.environ.get("FSWATCH_BUILDER_STORE"))
    try:
        names = {entry.name.familiar() for entry in Names(directory).entries() if entry.name is not None}
    except BuildError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))


_HELP = "NAME[:TAG], NAME@DIGEST, or the start of an image ID."
Image = Annotated[str, typer.Argument(metavar="IMAGE", help=_HELP, autocompletion=known_names)]
Images = Annotated[list[str], typer.Argument(metavar="IMAGE...", help=_HELP, autocompletion=known_names)]
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
