"""Runs random programs, each RUN by several processes of its own, all of them dead when it is over.

``python processes.py`` reads a RUN a line from its standard input, and answers with a line.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.support.programs.actor import ACTIONS, CONFINED, HOST, MAIN, MOVING, ORPHAN, TITLES, Actor, Operation, libc

_MESSAGE = 1 << 18
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: prctl(2)


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL to all processes, so long after the operation of this number was begun."""

    operation: int
    microseconds: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a RUN did."""

    lines: list[str]
    linked: list[int]
    """Inodes that got another name."""


class Processes:
    """A process that runs programs. What it starts is dead when ``run`` returns."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def run(
        self,
        root: str,
        outside: str,
        operations: Sequence[Operation],
        *,
        at_once: bool = False,
        kill: Kill | None = None,
    ) -> Done:
        """Does ``operations`` below ``root`` in turn; ``at_once``: those of one process in turn."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "root": root,
            "outside": outside,
            "operations": operations,
            "at_once": at_once,
            "kill": asdict(kill) if kill else None,
        }
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["failed"] is None, answer["failed"]
        return Done(answer["lines"], answer["linked"])

    def close(self) -> None:
        self._process.communicate()


class Company:
    """The processes of one RUN. Each is started when it is needed, and told what to do by a socket."""

    def __init__(self, root: str, outside: str) -> None:
        self.root, self.outside = root, outside
        self.mailbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in self.mailbox:  # an empty one is no reason to wait
            end.setblocking(False)
        self.witness = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.ends: dict[int, socket.socket] = {}
        self.pids: dict[int, int] = {}

    def end_of(self, process: int) -> socket.socket:
        if process not in self.ends:
            self._start(process)
        return self.ends[process]

    def _start(self, process: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            with _exit_at_last():
                ours.close()
                for end in self.ends.values():
                    end.close()
                if process == ORPHAN and os.fork() != 0:
                    os._exit(0)
                theirs.send(str(os.getpid()).encode())
                self._work(process, theirs)
                os._exit(0)
        theirs.close()
        self.ends[process] = ours
        self.pids[process] = int(ours.recv(100))
        if process == ORPHAN:
            os.waitpid(pid, 0)

    def _work(self, process: int, theirs: socket.socket) -> None:
        actor = Actor(TITLES[process], self.mailbox, self.witness[1])
        if process == HOST:
            actor.inside, actor.outside = self.root, self.outside
            os.makedirs(self.outside, exist_ok=True)
        else:
            os.chroot(self.root)
            os.chdir("/")
        first = True
        while request := theirs.recv(_MESSAGE):
            for operation in [Operation(*fields) for fields in json.loads(request)]:
                # What is not possible in this tree does nothing, as in a shell script without -e.
                if first and process in (MOVING, CONFINED):
                    with contextlib.suppress(OSError):
                        _settle_down(actor, process, operation.other)
                first = False
                with contextlib.suppress(OSError):
                    ACTIONS[operation.action](actor, operation)
            theirs.send(json.dumps(actor.lines).encode())
            actor.lines.clear()

    def leave(self, process: int) -> None:
        """A process ends of its own accord: with it go its descriptors and mappings."""
        self.ends.pop(process).close()
        _, status = os.waitpid(self.pids.pop(process), 0)
        assert status == 0, f"{TITLES[process]} failed: {status}"

    def lose(self, process: int) -> None:
        """A process died: only a store beyond the end of a file may have been the cause."""
        _, status = os.waitpid(self.pids.pop(process), 0)
        assert os.WIFSIGNALED(status), f"{TITLES[process]} failed"
        assert os.WTERMSIG(status) == signal.SIGBUS, f"{TITLES[process]} died of signal {os.WTERMSIG(status)}"

    def kill(self) -> None:
        """All that are left, and what is on its way between them."""
        for pid in self.pids.values():
            os.kill(pid, signal.SIGKILL)
        for pid in self.pids.values():
            os.waitpid(pid, 0)
        for end in (*self.ends.values(), *self.mailbox):
            end.close()

    def linked(self) -> list[int]:
        """Inodes that were to get another name. To be called once, at the end."""
        os.close(self.witness[1])
        with open(self.witness[0], "rb") as witness:
            told = witness.read() or b""
        return [int.from_bytes(told[at : at + 8], "little") for at in range(0, len(told), 8)]


def _settle_down(actor: Actor, process: int, number: int) -> None:
    directory = actor.directory(number)
    os.chdir(directory)
    if process == CONFINED:
        os.chroot(".")
    actor.say(f"{'chroot' if process == CONFINED else 'cd'} {directory!r}")


@contextlib.contextmanager
def _exit_at_last() -> Any:
    try:
        yield
    finally:
        traceback.print_exc()
        os._exit(1)


@dataclass
class Run:
    """One RUN: its operations in turn or at once, cut short or not."""

    company: Company
    operations: list[Operation]
    kill: Kill | None
    lines: list[str]

    def in_turn(self) -> None:
        last = {operation.process: number for number, operation in enumerate(self.operations)}
        for number, operation in enumerate(self.operations):
            end = self.company.end_of(operation.process)
            if operation.process not in self.company.pids:  # it is dead
                continue
            end.send(json.dumps([operation]).encode())
            if self.kill and self.kill.operation == number:
                time.sleep(self.kill.microseconds / 1e6)
                self._hear_what_was_said()
                self.lines.append(f"kill -9 all, in or after {operation}")
                return
            self._hear(operation.process)
            if operation.process == MAIN and last[MAIN] == number and MAIN in self.company.pids:
                self.company.leave(MAIN)

    def at_once(self) -> None:
        for process in sorted({operation.process for operation in self.operations}):
            end = self.company.end_of(process)
            end.send(json.dumps([operation for operation in self.operations if operation.process == process]).encode())
        if self.kill:
            time.sleep(self.kill.microseconds / 1e6)
            self._hear_what_was_said()
            self.lines.append("kill -9 all")
            return
        for process in list(self.company.ends):
            self._hear(process)
        if MAIN in self.company.pids:
            self.company.leave(MAIN)

    def _hear(self, process: int) -> None:
        answer = self.company.ends[process].recv(_MESSAGE)
        if answer:
            self.lines += json.loads(answer)
        else:
            self.company.lose(process)
            self.lines.append(f"{TITLES[process]}: dies of SIGBUS")

    def _hear_what_was_said(self) -> None:
        ends = {self.company.ends[process]: process for process in self.company.pids}
        for end in select.select(list(ends), [], [], 0)[0]:
            self._hear(ends[end])


def _done(request: dict[str, Any]) -> dict[str, Any]:
    kill = Kill(**request["kill"]) if request["kill"] else None
    operations = [Operation(*fields) for fields in request["operations"]]
    run = Run(Company(request["root"], request["outside"]), operations, kill, [])
    try:
        if request["at_once"]:
            run.at_once()
        else:
            run.in_turn()
    finally:
        run.company.kill()
    return {"lines": run.lines, "linked": run.company.linked(), "failed": None}


def _serve() -> None:
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    gc.disable()
    gc.freeze()  # or each child would copy every page that it looks for garbage in
    answers = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        try:
            answer = _done(json.loads(line))
        except Exception:  # noqa: BLE001 (it is told to who asked)
            answer = {"failed": traceback.format_exc()}
        os.write(answers, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    # By its own name: the module of operations must be the one that is filled.
    from tests.support.programs import operations as _all_of_them

    assert _all_of_them.INSIDE
    _serve()
