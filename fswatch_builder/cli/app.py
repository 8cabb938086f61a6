"""The command line: ``fswatch-builder``."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from fswatch_builder.cli.command import Command, RunCommand

_WIDTH: Final = 110
#: What follows DIR, or IMAGE, is the command's, its options too.
_TAKES_THE_REST: Final = {"context_settings": {"allow_interspersed_args": False, "max_content_width": _WIDTH}}

#: In the order of --help. ``NAME`` is the function ``NAME_command`` of the module ``NAME``.
COMMANDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "build": {},
    "track": _TAKES_THE_REST,
    "bench": {},
    "limits": {},
    "report": {},
    "images": {},
    "inspect": {},
    "history": {},
    "diff": {},
    "cat": {},
    "run": {"cls": RunCommand, **_TAKES_THE_REST},
    "load": {},
    "save": {},
    "rmi": {},
    "prune": {},
}


class _Commands(Mapping[str, TyperCommand]):
    """All of ``COMMANDS``, each imported when it is asked for: a build must not wait for what other commands need."""

    def __getitem__(self, name: str) -> TyperCommand:
        settings = COMMANDS[name]
        function = getattr(import_module(f"fswatch_builder.cli.{name}"), f"{name}_command")
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        alone.command(name, **{"cls": Command, **settings})(function)
        command = get_command(alone)
        if not isinstance(command, TyperCommand):
            raise TypeError(f"{name} is no command")
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = cast(Any, _Commands())  # nothing is added to it

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """As every group does; what is a command elsewhere is refused with the way there is."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            from fswatch_builder.cli import refused

            reason = refused.COMMANDS.get(args[0])
            if reason is not None:
                error.message = f"There is no {args[0]}: {reason}."  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    name="fswatch-builder",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDTH},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"fswatch-builder {version('fswatch-builder')}")
        except PackageNotFoundError:
            print("fswatch-builder (not installed: run from a source tree)")
        raise typer.Exit


@app.callback()
def root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Build container images from Dockerfiles, without a daemon.

    It watches what each RUN touches instead of scanning for it.

    \b
    Examples:
      fswatch-builder build -t hello .
      fswatch-builder build --build-context base=./rootfs -o type=oci,dest=hello.tar .
      fswatch-builder track /usr/local -- make install
      fswatch-builder images

    Options of build and track, and --store of every command, can also be given by environment variables, such as
    FSWATCH_BUILDER_STORE. --install-completion teaches the shell commands, options and the names of images.
    """  # noqa: D301 - the escape keeps the lines as they are


def main() -> None:
    """The program."""
    app()


if __name__ == "__main__":
    main()
