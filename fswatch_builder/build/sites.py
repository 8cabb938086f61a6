"""The root file systems of the stages of one build: each goes as soon as no stage to come takes anything from it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Lock
from typing import Self

from fswatch_builder.build.worksite import Worksite
from fswatch_builder.model.plan import Stage


class Sites:
    """A context manager, at the end of which none is left. Any thread may use it."""

    def __init__(self, stages: Sequence[Stage], new: Callable[[], Worksite]) -> None:
        """``stages`` are all of the build; ``new`` makes a worksite for one."""
        self._takers: dict[int, set[int]] = {stage.index: set() for stage in stages}
        for taker in stages:
            for index in taker.needs:
                self._takers[index].add(taker.index)
        self._new = new
        self._lock = Lock()
        self._open: dict[int, Worksite] = {}
        self._done: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with ExitStack() as stack:
            for site in self._open.values():
                stack.callback(site.close)

    def open(self, stage: Stage) -> Worksite:
        """For a stage that begins."""
        site = self._new()
        with self._lock:
            self._open[stage.index] = site
        return site

    def done(self, stage: Stage) -> None:
        """A stage has ended: it takes nothing more, and is not written to any more."""
        with self._lock:
            self._done.add(stage.index)
            idle = [index for index in self._open if index in self._done and self._takers[index] <= self._done]
            closing = [self._open.pop(index) for index in idle]
        for site in closing:
            site.close()
