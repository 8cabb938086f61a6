"""Progress on a terminal: finished steps scroll away as lines, the running one shows its last output below."""

import time
from collections import deque
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live as Display
from rich.spinner import Spinner
from rich.text import Text

from fswatch_builder.build.events import (
    ArgsUnused,
    Event,
    OutputWritten,
    StepFinished,
    StepNote,
    StepOutput,
    StepStarted,
    StoreMended,
    Unheeded,
    WarningFound,
    WorkStarted,
)
from fswatch_builder.cli.printable import printable, printable_output
from fswatch_builder.cli.render import Losses, outcome, seconds_text, step_title, warning_line

#: Lines of a running step's output that are kept in sight.
_TAIL = 6


class Live:
    """A renderer for terminals."""

    def __init__(self, stream: TextIO) -> None:
        """Takes the terminal until ``close``."""
        self._console = Console(file=stream, highlight=False)
        self._display = Display(console=self._console, refresh_per_second=8, transient=True)
        self._display.start()
        self._spinner = Spinner("dots")
        self._started = time.monotonic()
        self._title = ""
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._rest = b""
        self._losses = Losses()

    def emit(self, event: Event) -> None:
        """Moves the display on."""
        match event:
            case StepStarted():
                self._begin(f"#{event.number} {step_title(event)}")
            case StepOutput():
                *lines, self._rest = (self._rest + event.data).split(b"\n")
                self._tail.extend(printable_output(line.decode("utf-8", "replace")).expandtabs() for line in lines)
                self._show()
            case StepNote():
                self._say(f"   note: {event.text}", "yellow")
            case StepFinished():
                for line in self._losses.news(event):
                    self._say(f"   note: {line}", "yellow")
                style = {"failed": "red", "cached": "cyan", "config": "dim"}.get(event.status, "green")
                self._say(f"{self._title}  {outcome(event)}", style)
                self._display.update(Text(""))
            case WarningFound() | StoreMended() | Unheeded() | ArgsUnused():
                self._say(warning_line(event), "yellow")
            case WorkStarted():
                self._begin(event.what)
            case OutputWritten():
                self._say(f"wrote {event.kind} output to {event.path} in {seconds_text(event.seconds)}", "green")
                self._display.update(Text(""))
            case _:
                pass

    def _begin(self, title: str) -> None:
        self._title = printable(title)
        self._started = time.monotonic()
        self._tail.clear()
        self._rest = b""
        self._show()

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(printable(text), style=style), soft_wrap=True)

    def _show(self) -> None:
        self._display.update(self)

    def __rich__(self) -> Group:
        """The running step, as of now: the display asks for it several times a second."""
        title = f"{time.monotonic() - self._started:.1f}s {self._title}"
        self._spinner.update(text=Text(title, no_wrap=True, overflow="ellipsis"))
        tail = [Text(f"   {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in list(self._tail)]
        return Group(self._spinner, *tail)

    def close(self) -> None:
        """Gives the terminal back."""
        self._display.stop()
