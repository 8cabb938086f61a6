"""Runs one command in a root file system with the caller's streams, or on a terminal of its own.

No descriptor of the caller is handed over: by its link in /proc a file could be opened anew, for writing too. There are
pipes, or a terminal made for this command, and the bytes are copied here as they come.
"""

import errno
import fcntl
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from typing import Final

from msgspec import Struct

from fswatch_builder._native import RefusedError, Rootfs, Sandbox, spawn
from fswatch_builder.errors import CommandError, RunError
from fswatch_builder.runtime import host
from fswatch_builder.runtime.run import Command, Stream, abandon, close, command_spec, not_started
from fswatch_builder.runtime.user import Identity, resolve_user

_PIECE: Final = 1 << 16
#: Reads after the end: no pipe (pipe-max-size) or terminal holds back more. Who has left the tree could write for ever.
_LAST_READS: Final = 32
_WINDOW_SIZE: Final = bytes(8)  # struct winsize, ioctl_tty(2)


class Attachment(Struct, frozen=True):
    """The caller's side: descriptors. ``stdin`` None: the command has an empty one.

    ``terminal``: the command gets one; ``stdin``, which is then the caller's own, is in raw mode meanwhile.
    """

    stdin: int | None = None
    stdout: int = 1
    stderr: int = 2
    terminal: bool = False

    def __post_init__(self) -> None:
        if self.terminal and self.stdin is None:
            raise ValueError("a terminal at which nobody types")


def run_attached(rootfs: Rootfs, command: Command, attachment: Attachment) -> int:
    """Runs ``command`` to its end: its exit status as a shell gives it. No process of it is alive on return, whatever
    the way out. From the main thread.

    Errors as of `run`, and `CommandError` for a command that cannot be executed (126) or is not there (127);
    BrokenPipeError if whoever reads the output went away.
    """
    host.check()
    identity = resolve_user(rootfs, command.user)
    with ExitStack() as stack:
        ends = _terminal(stack, attachment, identity) if attachment.terminal else _pipes(stack, attachment, identity)
        try:
            sandbox = spawn(
                rootfs,
                command_spec(command, identity, witness=False),
                ends.stdout.fileno(),
                ends.stderr.fileno(),
                stdin_fd=None if ends.stdin is None else ends.stdin.fileno(),
                terminal=attachment.terminal,
            )
        except OSError as error:
            outcome = not_started(error, command, _Nobody())
            raise CommandError(outcome.tail.rstrip("\n"), outcome.exit_code) from error
        except RefusedError as error:
            raise RunError(f"cannot run here: /{os.fsdecode(error.path)}: {error.reason}", code=126) from error
        try:
            ends.hand_over()
            with _raw(attachment, ends.ways):
                _copy(sandbox, ends.ways)
        except BaseException:
            # Ctrl-C, or an output that fails.
            abandon(sandbox)
            raise
        code = sandbox.wait()
        close(sandbox)
        return code


class _Nobody:
    """Takes what a command that did not start has to say: it is told as an error, for its name is the image's."""

    def write(self, stream: Stream, data: bytes) -> None:
        """See `run.Output`."""


class _Way:
    """Bytes from one file to another. What that does not take yet waits here, and no more is read meanwhile."""

    def __init__(self, source: FileIO, sink: FileIO, *, inwards: bool) -> None:
        """``inwards``: from the caller to the command; nobody waits for its end."""
        self.source = source
        self.sink = sink
        self.inwards = inwards
        self.waiting = b""
        self.open = True

    def read(self) -> bool:
        """Takes what is there; whether there was something."""
        try:
            piece = self.source.read(_PIECE)
        except OSError as error:
            if error.errno != errno.EIO:  # of a terminal: nobody has its other side open any more
                raise
            piece = b""
        if piece is None:
            return False
        self.waiting = piece
        if not piece:
            self._end()
        return bool(piece)

    def write(self) -> None:
        """Hands on what the sink takes. What a command does not want to read is for nobody."""
        try:
            written = self.sink.write(self.waiting)
        except OSError as error:
            if not self.inwards or error.errno not in (errno.EPIPE, errno.EIO):
                raise
            self._end()
            return
        self.waiting = self.waiting[written or 0 :]

    def _end(self) -> None:
        self.open = False
        self.waiting = b""
        if self.inwards:
            self.sink.close()


class _Ends(Struct):
    """The command's sides, and the ways between ours and the caller's."""

    stdin: FileIO | None
    stdout: FileIO
    stderr: FileIO
    ways: Sequence[_Way]

    def hand_over(self) -> None:
        """The command has its sides: ours of them would hide its end."""
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()


def _pipes(stack: ExitStack, attachment: Attachment, identity: Identity) -> _Ends:
    def pipe() -> tuple[FileIO, FileIO]:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        reader, writer = stack.enter_context(FileIO(reading, "r")), stack.enter_context(FileIO(writing, "w"))
        os.fchown(writing, identity.uid, identity.gid)  # who opens /dev/stdout opens it anew, as its user
        return reader, writer

    (out, stdout), (err, stderr) = pipe(), pipe()
    ways = [
        _Way(out, FileIO(attachment.stdout, "w", closefd=False), inwards=False),
        _Way(err, FileIO(attachment.stderr, "w", closefd=False), inwards=False),
    ]
    for reader in (out, err):
        os.set_blocking(reader.fileno(), False)
    if attachment.stdin is None:
        return _Ends(None, stdout, stderr, ways)
    stdin, feed = pipe()
    os.set_blocking(feed.fileno(), False)
    ways.append(_Way(FileIO(attachment.stdin, "r", closefd=False), feed, inwards=True))
    return _Ends(stdin, stdout, stderr, ways)


def _terminal(stack: ExitStack, attachment: Attachment, identity: Identity) -> _Ends:
    ours, theirs = os.openpty()
    master = stack.enter_context(FileIO(ours, "r+"))
    slave = stack.enter_context(FileIO(theirs, "r+"))
    os.set_blocking(ours, False)
    os.fchown(theirs, identity.uid, -1)
    # A duplicate: when the caller's input ends, the output goes on.
    keyboard = stack.enter_context(FileIO(os.dup(ours), "w"))
    ways = [
        _Way(master, FileIO(attachment.stdout, "w", closefd=False), inwards=False),
        _Way(FileIO(attachment.stdin or 0, "r", closefd=False), keyboard, inwards=True),
    ]
    return _Ends(slave, slave, slave, ways)


@contextmanager
def _raw(attachment: Attachment, ways: Sequence[_Way]) -> Iterator[None]:
    """The caller's terminal hands on every key as it is, and its size: Ctrl-C is the command's."""
    if not attachment.terminal:
        yield
        return
    mine, theirs = attachment.stdin or 0, ways[0].source.fileno()

    def resize(*_: object) -> None:
        size = fcntl.ioctl(mine, termios.TIOCGWINSZ, _WINDOW_SIZE)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)

    before = termios.tcgetattr(mine)
    handler = signal.signal(signal.SIGWINCH, resize)
    try:
        resize()
        tty.setraw(mine, termios.TCSADRAIN)
        yield
    finally:
        signal.signal(signal.SIGWINCH, handler)
        termios.tcsetattr(mine, termios.TCSADRAIN, before)


def _copy(sandbox: Sandbox, ways: Sequence[_Way]) -> None:
    """Hands on bytes until the tree is dead and its output is told."""
    alive = True
    while alive:
        asked = {sandbox.pidfd: select.POLLIN}
        for way in ways:
            file, event = (way.sink, select.POLLOUT) if way.waiting else (way.source, select.POLLIN)
            if way.open or way.waiting:
                asked[file.fileno()] = asked.get(file.fileno(), 0) | event
        ready = _poll(asked)
        alive = not ready.get(sandbox.pidfd)
        for way in ways:
            if way.waiting:
                if ready.get(way.sink.fileno(), 0) & ~select.POLLIN:
                    way.write()
            elif way.open and ready.get(way.source.fileno(), 0) & ~select.POLLOUT:
                way.read()
    for way in ways:
        if not way.inwards:
            _tell(way)


def _poll(asked: dict[int, int]) -> dict[int, int]:
    poll = select.poll()
    for descriptor, events in asked.items():
        poll.register(descriptor, events)
    return dict(poll.poll())


def _tell(way: _Way) -> None:
    """What is there now goes to the caller."""
    for _ in range(_LAST_READS):
        while way.waiting:
            _poll({way.sink.fileno(): select.POLLOUT})
            way.write()
        if not way.open or not way.read():
            return
