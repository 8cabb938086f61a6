"""What a user wants built, and one build of it in a process of its own."""

import os
import sys
from collections.abc import Iterable

from msgspec import Struct

from fswatch_builder.errors import BuildError, RunError
from fswatch_builder.research.peers.measuring import Cost, PeerError, measure, said
from fswatch_builder.research.peers.own_log import Told, environment, told
from fswatch_builder.research.strategies import Strategy

_ERROR, _TAIL_LINE = "ERROR: ", "  | "
#: What steps write gets this time, so that equal layers are equal whenever they are made.
_NO_TIME = "0"


class Project(Struct, frozen=True):
    """A context and what the command line says of it: ``contexts`` and ``build_args`` are ``NAME=VALUE``."""

    context: str
    dockerfile: str | None = None
    target: str | None = None
    build_args: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """For ``build``."""
        words = [] if self.dockerfile is None else ["--file", self.dockerfile]
        words += [] if self.target is None else ["--target", self.target]
        words += [word for arg in self.build_args for word in ("--build-arg", arg)]
        return words + [word for context in self.contexts for word in ("--build-context", context)]


class OwnBuild(Struct, frozen=True):
    """A build that was done."""

    cost: Cost
    told: Told


def build(project: Project, strategy: Strategy, store: str, log: str, within: float | None = None) -> OwnBuild:
    """Every step of it is done. Raises what the build raises, and OutOfTimeError."""
    command = [sys.executable, "-m", "fswatch_builder", "build", "--store", store, "--no-cache"]
    command += ["--progress", "rawjson", "--timestamp", _NO_TIME]
    command += ["--tracker", strategy.tracker, "--hash", strategy.reads, *project.options, project.context]
    try:
        cost = measure(command, env=environment(os.environ), log=log, within=within)
    except PeerError as error:
        raise _failure(told(said(log)).said, error) from error
    return OwnBuild(cost, told(said(log)))


def _failure(lines: Iterable[str], error: PeerError) -> BuildError:
    """The error that the build ended with, as if it were ours."""
    waiting = iter(lines)
    tail: list[str] = []
    for line in waiting:
        if line.startswith(_ERROR):
            what = "\n".join((line.removeprefix(_ERROR), *(rest.removeprefix("  ") for rest in waiting)))
            failed = RunError(what, code=error.status, tail="\n".join(tail)) if tail else BuildError(what)
            failed.exit_status = error.status
            return failed
        if line.startswith(_TAIL_LINE):
            tail.append(line.removeprefix(_TAIL_LINE))
    return error
