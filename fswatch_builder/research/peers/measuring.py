"""One command, timed: wall clock, processor, and the largest resident set of any process in it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from fswatch_builder.errors import BuildError
from fswatch_builder.research.peers import keeper

_TAIL = 15
"""Lines that are shown of a command that failed."""


class Cost(Struct, frozen=True):
    """``peak_kib``: the largest process of the command's whole tree (getrusage(2), ``RUSAGE_CHILDREN``); ``cpu_s`` is
    processor time of all of them.
    """

    seconds: float
    cpu_s: float
    peak_kib: int

    def __add__(self, later: "Cost") -> "Cost":
        """Of one command after the other."""
        return Cost(self.seconds + later.seconds, self.cpu_s + later.cpu_s, max(self.peak_kib, later.peak_kib))


class Line(Struct, frozen=True):
    """What a command printed, and how many seconds after its start."""

    seconds: float
    text: str


class PeerError(BuildError):
    """A builder under measurement did not do what it was asked for: a figure of it would mean nothing."""

    def __init__(self, what: str, *, status: int = 1) -> None:
        """``status`` is what it ended with."""
        super().__init__(what)
        self.status = status


class OutOfTimeError(BuildError):
    """A command was ended because it took longer than there was time for."""


def measure(
    argv: Sequence[str], *, log: str, env: Mapping[str, str] | None = None, within: float | None = None
) -> Cost:
    """Runs ``argv`` to its end; what it prints goes to the file ``log``, for ``said`` to read.

    PeerError if it fails, OutOfTimeError if it is not done ``within`` so many seconds; then, and if we are interrupted,
    it is ended, and waited for.
    """
    watched = [sys.executable, "-I", "-S", keeper.__file__, log, *argv]
    with subprocess.Popen(watched, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            answer, _ = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            _end(process)
            raise OutOfTimeError(f"{argv[0]} takes longer than {within:.0f} s") from None
        except BaseException:
            _end(process)
            raise
    if process.returncode != 0 or not answer:
        raise PeerError(f"{argv[0]} could not be run")
    status, seconds, cpu, peak = answer.split()
    if status != "0":
        last = "\n".join(line.text for line in said(log)[-_TAIL:])
        what = f"{os.path.basename(argv[0])} ended with status {status}" + (f":\n{last}" if last else "")
        raise PeerError(what, status=int(status))
    return Cost(float(seconds), float(cpu), int(peak))


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.communicate()


def said(log: str) -> list[Line]:
    """What a measured command printed."""
    with open(log, errors="replace") as file:
        return list(_lines(file))


def _lines(file: Iterator[str]) -> Iterator[Line]:
    for line in file:
        seconds, _, text = line.rstrip("\n").partition(" ")
        yield Line(float(seconds), text)
