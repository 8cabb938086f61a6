"""Steps in the stream of events: each with a number of its own, a beginning, and one end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import local

from fswatch_builder.build.events import (
    Events,
    Status,
    StepFinished,
    StepNote,
    StepProgress,
    StepReport,
    StepStarted,
)
from fswatch_builder.build.failures import explained
from fswatch_builder.errors import Location
from fswatch_builder.model.plan import Stage
from fswatch_builder.stopping import Stopped


class Progress:
    """One step."""

    def __init__(self, number: int, events: Events) -> None:
        """Starts the clock."""
        self.number = number
        self._events = events
        self._started = time.monotonic()

    def done(self, status: Status, report: StepReport | None = None) -> None:
        """The step is over."""
        self._events.emit(StepFinished(self.number, status, time.monotonic() - self._started, report))


class _Latest(local):
    """Of each thread."""

    number = 0


class Steps:
    """Numbers the steps of one build, whichever thread does them."""

    def __init__(self, events: Events) -> None:
        """They are told to ``events``."""
        self.events = events
        self._numbers = count(1)
        self._latest = _Latest()

    @contextmanager
    def instruction(self, stage: Stage, position: int, title: str, where: Location) -> Iterator[Progress]:
        """An instruction of a stage; ``position`` counts FROM as 1. An error of the block gets its place."""
        total = 1 + len(stage.instructions)
        shown = stage.prefix + stage.label
        with self._step(StepStarted(next(self._numbers), shown, position, total, title, where)) as progress:
            try:
                yield progress
            except Exception as error:
                raise explained(error, where) from error

    @contextmanager
    def internal(self, title: str) -> Iterator[Progress]:
        """Something that no instruction asks for by itself."""
        with self._step(StepStarted(next(self._numbers), "internal", 0, 0, title)) as progress:
            yield progress

    def note(self, text: str) -> None:
        """Something worth knowing, about the step that this thread began last."""
        self.events.emit(StepNote(self._latest.number, text))

    def step(self) -> int:
        """The number of the one that this thread began last."""
        return self._latest.number

    def progress(self, step: int, what: str, done: int, total: int) -> None:
        """How far something is, of the step with this number."""
        self.events.emit(StepProgress(step, what, done, total))

    @contextmanager
    def _step(self, started: StepStarted) -> Iterator[Progress]:
        self._latest.number = started.number
        progress = Progress(started.number, self.events)
        self.events.emit(started)
        try:
            yield progress
        except Stopped:
            progress.done("canceled")
            raise
        except BaseException:
            progress.done("failed")
            raise
