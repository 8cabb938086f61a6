"""Progress on a terminal: finished steps scroll away as lines, the running ones show their last output below."""

import io
import time
from collections import deque
from typing import Final, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live as Display
from rich.text import Text

from fswatch_builder.build.events import (
    ArgsUnused,
    Event,
    OutputWritten,
    StepFinished,
    StepNote,
    StepOutput,
    StepProgress,
    StepStarted,
    StoreMended,
    Unheeded,
    WarningFound,
    WorkStarted,
)
from fswatch_builder.cli.printable import printable, printable_output
from fswatch_builder.cli.render import (
    GONE,
    Losses,
    outcome,
    progress_text,
    seconds_text,
    silence,
    step_title,
    warning_line,
)

#: Lines of output that are kept in sight, of all running steps together; each has one at least.
_TAIL: Final = 6
_STYLES: Final = {"failed": "red", "canceled": "yellow", "cached": "cyan", "config": "dim"}
_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_A_SECOND: Final = 12
#: In place of the number of a step, for what comes after the steps.
_WORK: Final = -1


class _Running:
    """A step that goes on."""

    def __init__(self, title: str) -> None:
        self.title = printable(title)
        self._started = time.monotonic()
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._rest = b""
        self._progress = ""

    def reaches(self, event: StepProgress) -> None:
        self._progress = f"  ({printable(progress_text(event))})" if event.done < event.total else ""

    def prints(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._tail.extend(printable_output(line.decode("utf-8", "replace")).expandtabs() for line in lines)

    def shown(self, most: int) -> list[RenderableType]:
        """Its title, and the last lines of its output."""
        now = time.monotonic()
        title = f" {now - self._started:.1f}s {self.title}{self._progress}"
        first = Text(_FRAMES[int(now * _FRAMES_A_SECOND) % len(_FRAMES)] + title, no_wrap=True, overflow="ellipsis")
        lines = list(self._tail)[-most:]
        return [first, *(Text(f"   {one}", style="dim", no_wrap=True, overflow="ellipsis") for one in lines)]


class _Terminal(io.TextIOBase):
    """One that may be closed: then the build goes on unseen."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            if error.errno not in GONE:
                raise
            silence(self._stream)
        return len(text)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


class Live:
    """A renderer for terminals."""

    def __init__(self, stream: TextIO) -> None:
        """Takes the terminal until ``close``."""
        self._console = Console(file=cast(TextIO, _Terminal(stream)), highlight=False)
        self._display = Display(console=self._console, refresh_per_second=8, transient=True)
        self._display.start()
        self._running: dict[int, _Running] = {}  # by number, in the order in which they began
        self._losses = Losses()

    def emit(self, event: Event) -> None:
        """Moves the display on."""
        match event:
            case StepStarted():
                self._begin(event.number, f"#{event.number} {step_title(event)}")
            case StepOutput():
                self._running[event.number].prints(event.data)
                self._show()
            case StepProgress():
                if event.number in self._running:
                    self._running[event.number].reaches(event)
                self._show()
            case StepNote():
                self._note(event.number, event.text)
            case StepFinished():
                for line in self._losses.news(event):
                    self._note(event.number, line)
                step = self._running.pop(event.number).title
                self._say(f"{step}  {outcome(event)}", _STYLES.get(event.status, "green"))
                self._show()
            case WarningFound() | StoreMended() | Unheeded() | ArgsUnused():
                self._say(warning_line(event), "yellow")
            case WorkStarted():
                self._begin(_WORK, event.what)
            case OutputWritten():
                self._say(f"wrote {event.kind} output to {event.path} in {seconds_text(event.seconds)}", "green")
                self._running.pop(_WORK, None)
                self._show()
            case _:
                pass

    def _begin(self, number: int, title: str) -> None:
        self._running[number] = _Running(title)
        self._show()

    def _note(self, number: int, text: str) -> None:
        step = f"#{number} " if len(self._running) > 1 else "   "
        self._say(f"{step}note: {text}", "yellow")

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(printable(text), style=style), soft_wrap=True)

    def _show(self) -> None:
        self._display.update(self)

    def __rich__(self) -> Group:
        """The running steps, as of now: the display asks for them several times a second."""
        running = list(self._running.values())
        most = max(1, _TAIL // max(1, len(running)))
        return Group(*(line for step in running for line in step.shown(most)))

    def close(self) -> None:
        """Gives the terminal back."""
        self._display.stop()
