"""Progress on a terminal: finished steps scroll away as lines, the running one shows its last output below."""

from collections import deque
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live as Display
from rich.spinner import Spinner
from rich.text import Text

from fswatch_builder.build.events import (
    Event,
    OutputWritten,
    StepFinished,
    StepNote,
    StepOutput,
    StepStarted,
    WarningFound,
)
from fswatch_builder.cli.printable import printable, printable_output
from fswatch_builder.cli.render import outcome, step_title, warning_line

#: Lines of a running step's output that are kept in sight.
_TAIL = 6


class Live:
    """A renderer for terminals."""

    def __init__(self, stream: TextIO) -> None:
        """Takes the terminal until ``close``."""
        self._console = Console(file=stream, highlight=False)
        self._display = Display(console=self._console, refresh_per_second=8, transient=True)
        self._display.start()
        self._title = ""
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._rest = b""

    def emit(self, event: Event) -> None:
        """Moves the display on."""
        match event:
            case StepStarted():
                self._title = printable(f"#{event.number} {step_title(event)}")
                self._tail.clear()
                self._rest = b""
                self._show()
            case StepOutput():
                *lines, self._rest = (self._rest + event.data).split(b"\n")
                self._tail.extend(printable_output(line.decode("utf-8", "replace")).expandtabs() for line in lines)
                self._show()
            case StepNote():
                self._say(f"   note: {event.text}", "yellow")
            case StepFinished():
                style = {"failed": "red", "cached": "cyan", "config": "dim"}.get(event.status, "green")
                self._say(f"{self._title}  {outcome(event)}", style)
                self._display.update(Text(""))
            case WarningFound():
                self._say(warning_line(event), "yellow")
            case OutputWritten():
                self._say(f"wrote {event.kind} output to {event.path}", "green")
            case _:
                pass

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(printable(text), style=style), soft_wrap=True)

    def _show(self) -> None:
        tail = [Text(f"   {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in self._tail]
        self._display.update(Group(Spinner("dots", Text(self._title, no_wrap=True, overflow="ellipsis")), *tail))

    def close(self) -> None:
        """Gives the terminal back."""
        self._display.stop()
