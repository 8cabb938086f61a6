"""One command, timed: wall clock and the largest resident set of any process in it."""

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """``peak_kib``: the largest process of the command's whole tree (getrusage(2), ``RUSAGE_CHILDREN``)."""

    seconds: float
    peak_kib: int

    def __add__(self, later: "Cost") -> "Cost":
        """Of one command after the other."""
        return Cost(self.seconds + later.seconds, max(self.peak_kib, later.peak_kib))


def resident_kib() -> int:
    """What this process takes now (proc_pid_statm(5))."""
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * resource.getpagesize() // 1024


class CommandError(Exception):
    """A measured command did not succeed: its figure would mean nothing."""


def measure(argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: str) -> Cost:
    """Runs ``argv`` to its end; its output goes to the file ``log``."""
    # ru_maxrss of the children is a running maximum: a process of its own keeps one command from hiding behind another.
    read, write = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        with open(log, "wb") as output:
            started = time.monotonic()
            code = subprocess.call(argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            seconds = time.monotonic() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        os.write(write, f"{code} {seconds} {peak}".encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        code, seconds, peak = answer.read().split()
    os.waitpid(keeper, 0)
    if code != "0":
        with open(log, errors="replace") as output:
            raise CommandError(f"{argv[0]} ended with {code}:\n" + "".join(output.readlines()[-15:]))
    return Cost(float(seconds), int(peak))
