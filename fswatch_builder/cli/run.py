"""``fswatch-builder run``: a command in an image."""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from fswatch_builder.build.container import Wish, run_image
from fswatch_builder.cli import image_options, options, values
from fswatch_builder.cli.command import RUN_FAILED
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.opening import open_store
from fswatch_builder.errors import BuildError, CommandError, UsageError
from fswatch_builder.model.sandbox import Network
from fswatch_builder.oci.lookup import find_image
from fswatch_builder.runtime.attached import Attachment

Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="[COMMAND [ARGS...]]", help="In the place of the image's CMD.", show_default=False),
]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", metavar="K=V", help="Variable; K alone takes the environment's value. Repeatable."),
]
EnvFile = Annotated[
    list[str] | None, typer.Option("--env-file", metavar="FILE", help="Variables, a line each. Repeatable.")
]
Workdir = Annotated[str, typer.Option("--workdir", "-w", metavar="DIR", help="Working directory; made if missing.")]
User = Annotated[str, typer.Option("--user", "-u", metavar="USER[:GROUP]", help="Names or numbers, of the image.")]
Entrypoint = Annotated[
    str | None,
    typer.Option("--entrypoint", metavar="PROGRAM", help="In the place of the image's; its CMD is dropped."),
]
Hostname = Annotated[str | None, typer.Option("--hostname", metavar="NAME", help="[default: a random one]")]
NetworkKind = Annotated[
    str,
    typer.Option(
        "--network", "--net", metavar="KIND", help="host, which is the default too; or none: a loopback alone."
    ),
]
Interactive = Annotated[
    bool | None,
    typer.Option(
        "--interactive/--no-interactive",
        "-i",
        help="Hand on standard input. [default: if it is a terminal]",
        show_default=False,
    ),
]
Tty = Annotated[
    bool | None,
    typer.Option(
        "--tty/--no-tty",
        "-t",
        help="Give it a terminal. [default: if standard input and output are one]",
        show_default=False,
    ),
]
Remove = Annotated[bool, typer.Option("--rm", help="Always so: accepted as docker run has it.", hidden=True)]


@reported
def run_command(
    image: image_options.Image,
    command: Command = None,
    env: Env = None,
    env_file: EnvFile = None,
    workdir: Workdir = "",
    user: User = "",
    entrypoint: Entrypoint = None,
    hostname: Hostname = None,
    network: NetworkKind = "default",
    interactive: Interactive = None,
    tty: Tty = None,
    platform: image_options.PlatformName = None,
    store: options.StoreDirectory = None,
    remove: Remove = False,
) -> None:
    """Run a command in an image, in the sandbox of a build's RUN.

    Its root file system is made for it and removed after it, with all it changed. It has the host's network, but for
    --network none. Options come before IMAGE. The exit status is the command's, or 125 if it could not be run.

    \b
    Examples:
      fswatch-builder run app:1
      fswatch-builder run app:1 sh -c 'ls -l /srv'
      fswatch-builder run --entrypoint sh -u 1000 -w /tmp -e DEBUG=1 app:1
      tar -c . | fswatch-builder run -i app:1 tar -t
    """  # noqa: D301 - the escape keeps the lines as they are
    del remove
    try:
        wish = Wish(
            words=tuple(command or ()),
            entrypoint=entrypoint,
            env=(*_env_files(env_file or ()), *_env(env or ())),
            user=user,
            cwd=_absolute(workdir),
            hostname=hostname,
            network=_network(network),
        )
        attachment = _attachment(interactive, tty)
        with open_store(values.store_directory(store)) as opened:
            found = find_image(opened, image, image_options.platform(platform))
            status = run_image(opened, opened.load_image(found.manifest), image, wish, attachment)
    except CommandError:
        raise
    except BuildError as error:
        error.exit_status = RUN_FAILED
        raise
    if status:
        raise SystemExit(status)


def _attachment(interactive: bool | None, tty: bool | None) -> Attachment:
    """What is not said goes by what our own streams are."""
    stdin, stdout, stderr = (stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if tty and not os.isatty(stdin):
        raise UsageError("the input device is not a TTY", hint="leave out -t, or do not redirect standard input")
    if tty is None:
        tty = interactive is not False and os.isatty(stdin) and os.isatty(stdout)
    if interactive is None:
        interactive = tty or os.isatty(stdin)
    return Attachment(stdin if interactive or tty else None, stdout, stderr, terminal=tty)


def _network(kind: str) -> Network:
    match kind:
        case "default" | "host" | "none":
            return kind
        case _:
            raise UsageError(
                f"--network {kind}: want host or none", hint="there are no networks between containers here"
            )


def _absolute(workdir: str) -> str:
    if workdir and not workdir.startswith("/"):
        raise UsageError(f"--workdir {workdir}: want an absolute path")
    return workdir


def _env(items: Sequence[str]) -> Iterator[str]:
    """``K=V``, or ``K`` for the environment's value; nothing where that has none."""
    for item in items:
        name, equals, _ = item.partition("=")
        if not name:
            raise UsageError(f"--env {item}: the name is missing")
        if equals:
            yield item
        elif name in os.environ:
            yield f"{name}={os.environ[name]}"


def _env_files(paths: Sequence[str]) -> Iterator[str]:
    """A variable a line as for --env, but for empty lines and those that start with #. Nothing in them is unquoted."""
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = [line.rstrip("\n").lstrip() for line in file]
        except OSError as error:
            raise UsageError(f"--env-file {path}: {error.strerror}") from error
        yield from _env([line for line in lines if line and not line.startswith("#")])
