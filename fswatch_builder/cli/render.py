"""Showing a build: events in, text out. One renderer a kind of --progress; the one for terminals is in live.py."""

import errno
import json
import os
import sys
import time
from typing import Final, Protocol, TextIO

from msgspec import Struct

from fswatch_builder.build.events import (
    ArgsUnused,
    Event,
    ImageStored,
    IndexStored,
    OutputWritten,
    StepFinished,
    StepMissed,
    StepNote,
    StepOutput,
    StepProgress,
    StepReport,
    StepStarted,
    StoreMended,
    Unheeded,
    WarningFound,
    WorkStarted,
)
from fswatch_builder.cli.printable import printable, printable_output
from fswatch_builder.model.quantity import size_text

#: Seconds between two lines that say how far a step is.
_PROGRESS_S: Final = 5.0


class Renderer(Protocol):
    """An end of the stream of events."""

    def emit(self, event: Event) -> None:
        """Shows one."""

    def close(self) -> None:
        """Nothing more comes."""


def renderer(kind: str, stream: TextIO) -> Renderer:
    """For a kind of --progress; ``auto`` is ``tty`` on a terminal, else ``plain``."""
    if kind == "auto":
        kind = "tty" if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" else "plain"
    if kind == "tty":
        from fswatch_builder.cli.live import Live

        return Live(stream)
    if kind == "none":
        return Silent()
    out = Pipe(stream)
    if kind == "plain":
        return Plain(out)
    return RawJSON(out) if kind == "rawjson" else Quiet(out)


#: Of a write to a pipe that nobody reads any more, to a terminal that was closed.
GONE: Final = (errno.EPIPE, errno.EIO)


class Silent:
    """Nothing."""

    def emit(self, event: Event) -> None:
        """Drops it."""

    def close(self) -> None:
        """Nothing is held back."""


class Pipe:
    """A text stream whose reader may go away: then the build goes on unseen."""

    def __init__(self, stream: TextIO) -> None:
        """``stream`` stays open."""
        self._stream: TextIO | None = stream

    def line(self, text: str) -> None:
        """One line, at once."""
        if self._stream is None:
            return
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except OSError as error:
            if error.errno not in GONE:
                raise
            self._stream = None
            silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """What is written to it from here on, at exit too, goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


class Quiet:
    """Warnings alone."""

    def __init__(self, out: Pipe) -> None:
        """To ``out``."""
        self._out = out

    def emit(self, event: Event) -> None:
        """Drops all but warnings."""
        if isinstance(event, WarningFound | StoreMended | Unheeded | ArgsUnused):
            self._out.line(printable(warning_line(event)))

    def close(self) -> None:
        """Nothing is held back."""


class RawJSON:
    """One JSON object a line: ``event`` is its kind, the rest its fields."""

    def __init__(self, out: Pipe) -> None:
        """To ``out``."""
        self._out = out

    def emit(self, event: Event) -> None:
        """As a line."""
        self._out.line(json.dumps({"event": type(event).__name__, **_fields(event)}))

    def close(self) -> None:
        """Nothing is held back."""


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Struct):
        return _fields(value)
    return value


def _fields(value: Struct) -> dict[str, object]:
    return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}


class Plain:
    """Lines, each with the number of its step; its title again where lines of another one came between."""

    def __init__(self, out: Pipe) -> None:
        """To ``out``."""
        self._out = out
        self._pending: dict[tuple[int, str], bytes] = {}
        self._losses = Losses()
        self._titles: dict[int, str] = {}  # of the steps that go on
        self._latest: int | None = None  # the step that the last line is about, if it goes on
        self._progress_due = 0.0

    def emit(self, event: Event) -> None:
        """As lines."""
        match event:
            case StepStarted():
                self._titles[event.number] = f"#{event.number} {step_title(event)}"
                self._turn_to(event.number)
            case StepOutput():
                self._output(event)
            case StepNote():
                self._turn_to(event.number)
                self._say(f"#{event.number} note: {event.text}")
            case StepMissed():
                self._turn_to(event.number)
                self._say(f"#{event.number} not cached: {'; '.join(event.reasons)}")
            case StepProgress():
                self._progress(event)
            case StepFinished():
                self._flush(event.number, event.seconds)
                self._turn_to(event.number)
                for line in self._losses.news(event):
                    self._say(f"#{event.number} note: {line}")
                self._say(f"#{event.number} {outcome(event)}")
                self._out.line("")
                self._titles.pop(event.number, None)
                self._latest = None
            case WarningFound() | StoreMended() | Unheeded() | ArgsUnused():
                self._say(warning_line(event))
            case WorkStarted():
                self._say(event.what)
            case OutputWritten():
                self._say(f"wrote {event.kind} output to {event.path} in {seconds_text(event.seconds)}")
            case ImageStored() | IndexStored():
                pass  # the command tells it at the end

    def _turn_to(self, number: int) -> None:
        """Before a line about a step."""
        if number == self._latest or number not in self._titles:
            return
        if self._latest is not None:
            self._out.line("")
        self._latest = number
        self._say(self._titles[number])

    def _progress(self, event: StepProgress) -> None:
        now = time.monotonic()
        if now >= self._progress_due:
            self._progress_due = now + _PROGRESS_S
            self._turn_to(event.number)
            self._say(f"#{event.number} {progress_text(event)}")

    def _output(self, event: StepOutput) -> None:
        key = (event.number, event.stream)
        *lines, rest = (self._pending.pop(key, b"") + event.data).split(b"\n")
        for line in lines:
            self._line(event.number, event.seconds, line)
        if rest:
            self._pending[key] = rest

    def _flush(self, number: int, seconds: float) -> None:
        for key in [key for key in self._pending if key[0] == number]:
            self._line(number, seconds, self._pending.pop(key))

    def _line(self, number: int, seconds: float, line: bytes) -> None:
        self._turn_to(number)
        self._out.line(f"#{number} {seconds:.3f} {printable_output(line.decode('utf-8', 'replace'))}")

    def _say(self, text: str) -> None:
        self._out.line(printable(text))

    def close(self) -> None:
        """All lines are out: a step's last one is flushed with its end."""


def step_title(event: StepStarted) -> str:
    """``[stage 2/5] RUN make``, on one line."""
    first, *rest = event.title.split("\n")
    place = f" {event.position}/{event.total}" if event.total else ""
    return f"[{event.stage}{place}] {first}" + (" ..." if rest else "")


def outcome(event: StepFinished) -> str:
    """How a step ended, and for one on the rootfs what it took."""
    match event.status:
        case "cached":
            return f"CACHED  {layer_text(event.report)}" if event.report else "CACHED"
        case "config":
            return "CONFIG"
        case "canceled":
            return f"CANCELED {seconds_text(event.seconds)}"
        case "failed":
            return f"ERROR {seconds_text(event.seconds)}"
        case _:
            details = f"  {report_text(event.report)}" if event.report else ""
            return f"DONE {seconds_text(event.seconds)}{details}"


class Losses:
    """What a tracker lost, told once: some of it comes up after each step."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self._told: set[str] = set()

    def news(self, event: StepFinished) -> list[str]:
        """Lines that were not returned before."""
        if event.report is None or not event.report.losses:
            return []
        from fswatch_builder.cli.loss_text import loss_lines

        lines = [line for line in loss_lines(event.report.losses, event.report.tracker) if line not in self._told]
        self._told.update(lines)
        return lines


def seconds_text(seconds: float) -> str:
    """``7ms`` below a second, ``1.2s`` from there on."""
    if seconds < 0.0005:
        return "<1ms"
    return f"{seconds * 1000:.0f}ms" if seconds < 0.9995 else f"{seconds:.1f}s"


def progress_text(event: StepProgress) -> str:
    """``unpacking 12MB of 345MB``."""
    return f"{event.what} {size_text(event.done)} of {size_text(event.total)}"


def report_text(report: StepReport) -> str:
    """Tracker, hints, losses, layer."""
    parts = []
    if report.tracker is not None:
        parts += [
            f"tracker {report.tracker}",
            counted(report.hints, "hint"),
            counted(len(report.losses), "loss", "losses"),
        ]
    parts.append(layer_text(report))
    return ", ".join(parts)


def layer_text(report: StepReport) -> str:
    """``layer 2 files 1.2kB``, or that there is none."""
    if report.diff_id is None:
        return "no layer"
    if not report.entries:
        return f"layer {size_text(report.stored)}"
    return f"layer {counted(report.entries, 'entry', 'entries')} {size_text(report.size)}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 hint``, ``2 hints``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def warning_line(event: WarningFound | StoreMended | Unheeded | ArgsUnused) -> str:
    """``WARN: Rule: sentence (file:line)``."""
    if isinstance(event, StoreMended | Unheeded):
        return f"WARN: {event.text}"
    if isinstance(event, ArgsUnused):
        return f"WARN: One or more build-args [{' '.join(event.names)}] were not consumed"
    return f"WARN: {event.rule}: {event.message} ({event.where})"
