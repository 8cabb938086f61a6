"""The command line: ``fswatch-builder``."""

from typing import Annotated

import typer

from fswatch_builder.cli.bench import bench_command
from fswatch_builder.cli.build import build_command
from fswatch_builder.cli.cat import cat_command
from fswatch_builder.cli.diff import diff_command
from fswatch_builder.cli.history import history_command
from fswatch_builder.cli.images import images_command
from fswatch_builder.cli.inspect import inspect_command
from fswatch_builder.cli.limits import limits_command
from fswatch_builder.cli.load import load_command
from fswatch_builder.cli.prune import prune_command
from fswatch_builder.cli.refused import BuildCommand
from fswatch_builder.cli.report import report_command
from fswatch_builder.cli.rmi import rmi_command
from fswatch_builder.cli.run import run_command
from fswatch_builder.cli.save import save_command
from fswatch_builder.cli.track import track_command

app = typer.Typer(
    name="fswatch-builder",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command("build", cls=BuildCommand)(build_command)
# What follows DIR is the command's, its options too.
app.command("track", context_settings={"allow_interspersed_args": False, "max_content_width": 110})(track_command)
app.command("bench")(bench_command)
app.command("limits")(limits_command)
app.command("report")(report_command)
app.command("images")(images_command)
app.command("inspect")(inspect_command)
app.command("history")(history_command)
app.command("diff")(diff_command)
app.command("cat")(cat_command)
app.command("run", context_settings={"allow_interspersed_args": False, "max_content_width": 110})(run_command)
app.command("load")(load_command)
app.command("save")(save_command)
app.command("rmi")(rmi_command)
app.command("prune")(prune_command)


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
