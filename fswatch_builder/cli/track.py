"""``fswatch-builder track``."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from fswatch_builder.cli import values
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.patience import patience
from fswatch_builder.errors import BuildError, CommandError, OutputError, UsageError

if TYPE_CHECKING:
    from fswatch_builder.observing.track import Tracked

Directory = Annotated[str, typer.Argument(metavar="DIR", help="Directory below which changes are told.")]
CommandLine = Annotated[list[str] | None, typer.Argument(metavar="COMMAND", help="The command, run where you are.")]
TrackTracker = Annotated[
    str,
    typer.Option(
        "--tracker",
        metavar="NAME",
        envvar="FSWATCH_BUILDER_TRACKER",
        help="auto, fanotify, inotify or scan: how changes are found.",
    ),
]
JSON = Annotated[
    bool, typer.Option("--json", envvar="FSWATCH_BUILDER_TRACK_JSON", help="Report as a JSON document (docs/cli.md).")
]
ReportFile = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        envvar="FSWATCH_BUILDER_TRACK_OUTPUT",
        help="Where the report goes, - for standard output. [default: standard error; standard output for --json]",
    ),
]
LayerFile = Annotated[
    str | None,
    typer.Option(
        "--layer",
        metavar="FILE",
        envvar="FSWATCH_BUILDER_TRACK_LAYER",
        help="Write the changes as an OCI layer too: an uncompressed tar with whiteouts, - for standard output.",
    ),
]
All = Annotated[
    bool,
    typer.Option(
        "--all",
        envvar="FSWATCH_BUILDER_TRACK_ALL",
        help="Show directories whose time alone changed, by what came or went in them.",
    ),
]
TrackAudit = Annotated[
    bool,
    typer.Option(
        "--audit",
        envvar="FSWATCH_BUILDER_AUDIT",
        help="Read everything again afterwards, slowly and independently, and compare; a difference is status 11.",
    ),
]
Processes = Annotated[
    bool,
    typer.Option(
        "--processes",
        envvar="FSWATCH_BUILDER_TRACK_PROCESSES",
        help="Tell who did it, too: the processes that touched each path, and their programs. By fanotify, as root.",
    ),
]
TrackHash = Annotated[
    str,
    typer.Option(
        "--hash",
        metavar="MODE",
        envvar="FSWATCH_BUILDER_HASH",
        help="evidence: read all files before, and after it those whose metadata proves nothing; all: after it every "
        "file looked at; none: never read (fast, and blind to a change that keeps size and time).",
    ),
]


@reported
def track_command(
    directory: Directory,
    command: CommandLine = None,
    tracker: TrackTracker = "auto",
    hash_mode: TrackHash = "evidence",
    audit: TrackAudit = False,
    processes: Processes = False,
    as_json: JSON = False,
    output: ReportFile = None,
    layer: LayerFile = None,
    everything: All = False,
) -> None:
    """Run a command and tell what it changed below a directory.

    What is there is recorded first. Then the command runs, in your terminal and with your rights; places that the
    tracker names are compared once its last process has ended. What others change there meanwhile is told too.
    The exit status is the command's.

    \b
    Examples:
      fswatch-builder track /usr/local -- make install
      fswatch-builder track -o report.txt . -- npm install
      fswatch-builder track --json ~/.config -- some-program | jq -r '.changes[].path'
      fswatch-builder track --layer layer.tar /opt -- ./install.sh
      fswatch-builder track --processes /etc -- apt-get install -y nginx

    \b
    In the report:
      A  added       M  modified, and what differs
      D  deleted     R  replaced by something of another kind
    """  # noqa: D301 - the escape keeps the lines as they are
    argv = command_line(command or ())
    output = output if output is not None or not as_json else "-"
    if output == "-" and layer == "-":
        raise UsageError("report and layer cannot both go to standard output", hint="use -o FILE or --layer FILE")
    if layer == "-" and sys.stdout.isatty():
        raise UsageError("a layer is not written to a terminal", hint="redirect it, or use --layer FILE")
    values.tracker(tracker)
    mode = values.hash_mode(hash_mode)

    from fswatch_builder.observing.track import arm, arm_attributing, follow, look_again, look_first, record
    from fswatch_builder.oci.whole import check_writable

    for file in (output, layer):
        if file is not None:
            check_writable(file)
    with patience(f"recording {directory}"):
        recording = record(directory, mode)
    if audit:
        with patience("audit: reading everything"):
            before = look_first(recording)
    with _standard_output_kept("-" in (output, layer)):
        armed = arm_attributing(recording, tracker) if processes else arm(recording, tracker)
        tracked = follow(recording, armed, argv, _LeftBehind())
    try:
        if audit:
            with patience("audit: reading everything again"):
                state = look_again(tracked, before)
            print(f"audit: {len(state) - 1:,} entries agree", file=sys.stderr)
    finally:
        _report(tracked, output, as_json=as_json, everything=everything, audited=audit)
    if layer is not None:
        _write_layer(tracked, layer)
    if tracked.exit_status:
        raise SystemExit(tracked.exit_status)


class _LeftBehind:
    """Tells why the command seems to hang: strictly speaking it has not ended."""

    def left_behind(self, processes: int) -> None:
        """To standard error."""
        counted = f"{processes} process{'' if processes == 1 else 'es'}"
        print(f"waiting for {counted} that the command left behind; Ctrl-C ends them", file=sys.stderr, flush=True)


def command_line(words: Sequence[str]) -> tuple[bytes, ...]:
    """What follows DIR, without the dashes. A command that is not there is told before anything is recorded."""
    import shutil

    argv = tuple(os.fsencode(word) for word in (words[1:] if words and words[0] == "--" else words))
    if not argv or not argv[0]:
        raise UsageError("there is no command to track", hint="such as: fswatch-builder track DIR -- make install")
    name = os.fsdecode(argv[0])
    if shutil.which(name) is None:
        if "/" in name and os.path.exists(name):
            raise CommandError(f"{name} cannot be executed", 126)
        raise CommandError(f"{name}: command not found", 127)
    return argv


@contextmanager
def _standard_output_kept(keep: bool) -> Iterator[None]:
    """``keep``: meanwhile what others write to standard output goes to standard error; ours comes after it."""
    if not keep:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _report(tracked: "Tracked", output: str | None, *, as_json: bool, everything: bool, audited: bool) -> None:
    from fswatch_builder.oci.whole import whole_file

    if as_json:
        from fswatch_builder.cli.track_json import document

        written = document(tracked, audited=audited)
    else:
        from fswatch_builder.cli.track_text import report_lines

        colour = output is None and sys.stderr.isatty() and "NO_COLOR" not in os.environ
        written = "".join(f"{line}\n" for line in report_lines(tracked, everything=everything, colour=colour))
    if output is None:
        sys.stderr.write(written)
        sys.stderr.flush()
        return
    with whole_file(output) as file:
        file.write(written.encode("utf-8", "surrogateescape"))


def _write_layer(tracked: "Tracked", path: str) -> None:
    from fswatch_builder._native import RefusedError, pack_layer
    from fswatch_builder.oci.whole import whole_file

    recording = tracked.recording
    with whole_file(path) as file:
        try:
            pack_layer(recording.rootfs, recording.baseline, tracked.changes, file.fileno())
        except RefusedError as error:
            raise OutputError(f"no layer can hold {os.fsdecode(error.path)}: {error.reason}") from error
        except OSError as error:
            if not error.filename:
                raise
            name = os.fsdecode(error.filename)
            raise BuildError(f"cannot read {name}, which is to be in the layer: {error.strerror}") from error
