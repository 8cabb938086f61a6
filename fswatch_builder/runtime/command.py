"""Runs a command on the host itself, in the terminal of the caller, to the end of its last process.

The command is an ordinary child: it has our standard streams, environment and process group, so Ctrl-C and Ctrl-Z reach
it as they do under a shell. A process that outlives its parent becomes a child of ours (PR_SET_CHILD_SUBREAPER) and is
waited for: what a tracker says is whole only when nobody can write any more.
"""

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Protocol

import psutil  # type: ignore[import-untyped]
from msgspec import Struct

from fswatch_builder._native import HostCommand
from fswatch_builder.errors import RunError

PATIENCE_S = 1.0
"""How long processes that were left behind are waited for without a word."""


class Onlooker(Protocol):
    """Learns why a command that has ended is not done yet."""

    def left_behind(self, processes: int) -> object:
        """That many processes outlive the command and are waited for; Ctrl-C ends them. Told once at most."""


class CommandOutcome(Struct, frozen=True):
    """How a command ended; no process of it is alive."""

    exit_status: int
    """As a shell gives it: the code, or 128 + the signal; 127: no such command, 126: it cannot be executed."""
    links_made: int | None
    """No more hard links than this were made. None: nobody watched, or could."""
    survivors: int
    """Processes left behind by the command and waited for."""
    problem: str | None = None
    """Why the command could not be executed, for people."""
    interrupted: bool = False
    """SIGINT or SIGQUIT came meanwhile. The command may have gone on all the same."""


def run_command(
    argv: Sequence[bytes], *, cwd: bytes | None = None, witness: bool, onlooker: Onlooker | None = None
) -> CommandOutcome:
    """Runs ``argv``, searched on our PATH, in ``cwd``. Returns or raises when every process of it is dead.

    From the main thread of a process without children: every child is taken for one of the command. SIGINT and SIGQUIT
    are the command's business while it runs; when only processes it left behind are alive, they end those. An
    exception, one from a handler of another signal too, ends all of them first.

    ``witness``: hard links are counted. A user without CAP_SYS_ADMIN can have that for a command with no_new_privs only
    (seccomp(2)): set-user-ID programs like sudo have no power in it, as under strace. When we are killed with SIGKILL,
    the command goes on, and calls of it that make links fail with ENOSYS.

    A directory that cannot be entered is a `RunError`.
    """
    if _has_children():
        raise RuntimeError("every child would be taken for one of the command: there must be none")
    with _signals() as arrived, _held_back() as release:
        try:
            command = HostCommand(argv, cwd=cwd, witness=witness)
        except OSError as error:
            return _not_started(error)
        try:
            release()
            exit_status, survivors = _wait(command.pid, arrived, onlooker)
        except BaseException:
            _end_all()
            command.testify()
            raise
        return CommandOutcome(exit_status, command.testify(), survivors, interrupted=arrived.came)


def _not_started(error: OSError) -> CommandOutcome:
    name, cause = os.fsdecode(error.filename or b""), os.strerror(error.errno or 0)
    if getattr(error, "operation", "") != "execve":
        raise RunError(f"cannot run in {name}: {cause}", code=126) from error
    missing = error.errno == errno.ENOENT
    if missing and "/" not in name:
        cause = "command not found"
    return CommandOutcome(127 if missing else 126, 0, 0, f"{name}: {cause}")


class _Arrived:
    """Signals that came. The interpreter's own C handler writes to a pipe, so one that comes before a wait ends it:
    a handler in Python would run after the wait only.
    """

    def __init__(self, woken: int) -> None:
        self.woken = woken
        self.interrupted = False  # since it was last looked at
        self.came = False  # at all

    def note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.interrupted |= number != signal.SIGCHLD
        self.came |= self.interrupted

    def wait(self, until: float | None) -> bool:
        """For the next signal, until a time of the monotonic clock; False if none came."""
        timeout_s = None if until is None else max(0.0, until - time.monotonic())
        ready, _, _ = select.select([self.woken], [], [], timeout_s)
        if ready:
            os.read(self.woken, select.PIPE_BUF)
        return bool(ready)


@contextmanager
def _signals() -> Iterator[_Arrived]:
    """Handlers, not SIG_IGN: the command would inherit that one. What is ignored stays so, as under nohup(1)."""
    woken, wakes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    arrived = _Arrived(woken)
    before = {}
    woken_before = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    try:
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGQUIT):
            if number == signal.SIGCHLD or signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, arrived.note)
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken_before)
        os.close(woken)
        os.close(wakes)


@contextmanager
def _held_back() -> Iterator[Callable[[], None]]:
    """Handlers of the signals that end us run when what it gives is called, or after the block:

    HostCommand: the command begins and prints | user: kill -TERM | handler raises, and nobody has the command to end
    """
    came: list[int] = []

    def handle() -> None:
        for number in came[:1]:
            signal.raise_signal(number)

    with ExitStack() as stack:
        stack.callback(handle)
        for number in (signal.SIGTERM, signal.SIGHUP):
            if callable(handler := signal.getsignal(number)):
                stack.callback(signal.signal, number, handler)
                signal.signal(number, lambda number, _: came.append(number))
        yield stack.close


def _wait(first: int, arrived: _Arrived, onlooker: Onlooker | None) -> tuple[int, int]:
    """The exit status of the first process, and how many others ended after it."""
    exit_status: int | None = None
    survivors = 0
    patient_until: float | None = None
    while _has_children():
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
        if ended is None:
            if exit_status is not None and arrived.interrupted:
                survivors += _end_all()
            elif not arrived.wait(patient_until):
                patient_until = None
                if onlooker is not None:
                    onlooker.left_behind(_alive())
        elif ended.si_pid == first:
            exit_status = ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status
            arrived.interrupted = False
            patient_until = time.monotonic() + PATIENCE_S
        elif exit_status is not None:
            survivors += 1
    if exit_status is None:
        raise RuntimeError("somebody else has waited for the command")
    return exit_status, survivors


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _alive() -> int:
    """How many processes there are below us that are no zombies."""
    alive = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            alive += process.status() != psutil.STATUS_ZOMBIE
    return alive


def _end_all() -> int:
    """SIGKILL to all, and the number of them. Who may not be killed (sudo made it another user's) is waited for.

    Only our own children are killed: nobody else's number is safe from being another process's by now. When one dies,
    its children become ours.
    """
    ended = 0
    while _has_children():
        for child in psutil.Process().children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_ALL, 0, os.WEXITED)
        ended += 1
    return ended
