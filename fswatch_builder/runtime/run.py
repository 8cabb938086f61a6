"""Runs one command in a root file system and hands on its output as it comes."""

import errno
import fcntl
import os
import selectors
import struct
import termios
import time
from collections import deque
from contextlib import ExitStack
from typing import Literal, Protocol

from msgspec import Struct, field

from fswatch_builder import stopping
from fswatch_builder._native import Emulators, Mount, RefusedError, Rootfs, RunSpec, Sandbox, spawn
from fswatch_builder.errors import RunError, SandboxError
from fswatch_builder.model.sandbox import Network, SandboxOptions, Security
from fswatch_builder.runtime import host
from fswatch_builder.runtime.ulimits import for_kernel
from fswatch_builder.runtime.user import Identity, resolve_user
from fswatch_builder.stopping import Stopped

Stream = Literal["stdout", "stderr"]

DEFAULT_HOSTNAME = "buildkitsandbox"
"""As BuildKit names it: what a RUN records of its host does not depend on the builder."""

DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Docker's."""

LONGEST_LINE = 16 << 10
"""Bytes without an end of line that are handed on as they are: a progress bar must not fill the memory."""

PATIENCE_S = 10.0
"""How long who is not of the tree may keep a file open for writing: far longer than a thread of the kernel takes to let
go, on a busy machine too."""

TAIL_LINES = 20
TAIL_LINE = 512
"""The last lines are kept for the message of a failure: this many, of this many bytes each."""


class Output(Protocol):
    """Takes what a command prints."""

    def write(self, stream: Stream, data: bytes) -> object:
        """A line with its end, or a piece of one that is too long or was never ended."""


class Command(Struct, frozen=True):
    """What a RUN executes. The environment is exactly ``env``, and PATH and HOME if that has none."""

    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str = ""
    """As USER says it; empty is root."""
    hostname: str | None = None
    mounts: tuple[Mount, ...] = ()
    """What is there for this command alone, besides /etc/resolv.conf and /etc/hosts."""
    network: Network = "default"
    security: Security = "sandbox"
    options: SandboxOptions = field(default_factory=SandboxOptions)
    emulators: Emulators | None = None
    """What runs programs of another machine, if the kernel does not know by itself."""


class Outcome(Struct, frozen=True):
    """How a command ended."""

    exit_code: int
    """As a shell gives it: the code, or 128 + the signal; 127: no such command, 126: it cannot be executed."""
    tail: str
    """The last lines it printed."""
    links_made: int | None = None
    """No more hard links than this were made. None: nobody watched, or could."""


def run(rootfs: Rootfs, command: Command, output: Output, *, witness: bool = False) -> Outcome:
    """Runs ``command`` to its end; no process of it is alive on return, whatever the way out, and nobody can write to a
    file that it had open.

    It is killed if this thread shall end (`stopping`). A host that cannot isolate it is a `SandboxError`, and so is one
    where somebody else keeps a file open for writing; a working
    directory that is not there, or a file where something has to be mounted, a `RunError`; for a user that is not there
    see `resolve_user`. ``witness``: hard links are counted.
    """
    host.check()
    stopping.check()
    identity = resolve_user(rootfs, command.user)
    spec = command_spec(command, identity, witness)
    with ExitStack() as stack:
        streams: dict[int, _Lines] = {}
        tail: deque[bytes] = deque(maxlen=TAIL_LINES)
        writers = []
        names: tuple[Stream, ...] = ("stdout", "stderr")
        for name in names:
            reader, writer = os.pipe2(os.O_CLOEXEC)
            os.fchown(writer, identity.uid, identity.gid)  # who opens /dev/stdout opens it anew, as its user
            writers.append(stack.enter_context(open(writer, "wb", buffering=0)))
            stack.enter_context(open(reader, "rb", buffering=0))
            os.set_blocking(reader, False)
            streams[reader] = _Lines(name, output, tail)
        try:
            sandbox = spawn(rootfs, spec, writers[0].fileno(), writers[1].fileno())
        except OSError as error:
            return not_started(error, command, output)
        except RefusedError as error:
            raise RunError(f"cannot run here: /{os.fsdecode(error.path)}: {error.reason}", code=126) from error
        try:
            for file in writers:
                file.close()
            _pump(sandbox, streams)
            code = _end_of(sandbox)
        except BaseException:
            # Ctrl-C, another stage or an output that fails.
            abandon(sandbox)
            raise
        close(sandbox)
        return Outcome(code, b"".join(tail).decode(errors="replace"), sandbox.links_made)


def abandon(sandbox: Sandbox) -> None:
    """Nothing of it goes on behind our back, and what it did does not matter."""
    sandbox.kill()
    sandbox.wait()
    sandbox.close()


def close(sandbox: Sandbox) -> None:
    """Takes away what a dead one leaves. Raises SandboxError."""
    try:
        sandbox.close()
    except OSError as error:
        path = os.fsdecode(error.filename or "")
        raise SandboxError(f"cannot take away what was mounted for a RUN: {path}: {error.strerror}") from error


def _end_of(sandbox: Sandbox) -> int:
    """Its exit status, as soon as nothing of it can be written any more."""
    try:
        code = sandbox.wait()
        deadline, pause = time.monotonic() + PATIENCE_S, 0.0001
        while not sandbox.is_written():
            if time.monotonic() > deadline:
                raise SandboxError(
                    "cannot tell what a RUN changes: a file in it is still open for writing, though every process of "
                    "the command is dead",
                    hint="a process outside of the RUN was sent it over a socket, or what it wrote hangs in the kernel",
                )
            stopping.pause(pause)  # nobody tells of the end of a writer
            pause = min(pause * 2, 0.01)
    except OSError as error:
        operation = getattr(error, "operation", "")
        raise SandboxError(f"cannot tell what a RUN changes: {operation}: {error.strerror}") from error
    return code


def command_spec(command: Command, identity: Identity, witness: bool) -> RunSpec:
    """What the sandbox is told: the command as that user, with the host's resolver, PATH and HOME."""
    hostname = command.hostname or DEFAULT_HOSTNAME
    env = [os.fsencode(entry) for entry in command.env]
    names = {entry.partition(b"=")[0] for entry in env}
    defaults = {b"PATH": DEFAULT_PATH, b"HOME": os.fsencode(identity.home)}
    env += [name + b"=" + value for name, value in defaults.items() if name not in names]
    return RunSpec(
        [os.fsencode(word) for word in command.argv],
        env,
        os.fsencode(command.cwd),
        uid=identity.uid,
        gid=identity.gid,
        groups=identity.groups,
        hostname=os.fsencode(hostname),
        mounts=[
            Mount.file(b"/etc/resolv.conf", host.resolv_conf(), optional=True),
            Mount.file(b"/etc/hosts", host.hosts(hostname, command.options.hosts), optional=True),
            *command.mounts,
        ],
        loopback_only=command.network == "none",
        insecure=command.security == "insecure",
        shm_size=command.options.shm_size,
        limits=[for_kernel(limit) for limit in command.options.ulimits],
        witness=witness,
        emulators=command.emulators,
    )


def not_started(error: OSError, command: Command, output: Output) -> Outcome:
    """What the failure of ``spawn`` means: an outcome if the command cannot be executed, else raises RunError or
    SandboxError.
    """
    operation = getattr(error, "operation", "")
    cause = os.strerror(error.errno or 0)
    if operation == "execve":
        message = f"{command.argv[0]}: {'command not found' if error.errno == errno.ENOENT else cause}\n"
        output.write("stderr", message.encode(errors="surrogateescape"))
        return Outcome(127 if error.errno == errno.ENOENT else 126, message)
    if operation in ("chdir", "getcwd"):
        raise RunError(f"cannot enter the working directory {command.cwd}: {cause}", code=126) from error
    if operation == "prlimit":
        raise SandboxError(
            f"the limits of --ulimit cannot be set: {cause}",
            hint="the kernel may have a lower one of its own, as fs.nr_open is for nofile",
        ) from error
    path = os.fsdecode(error.filename or "")
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        raise RunError(f"cannot run here: /{path.lstrip('/')}: {cause}", code=126) from error
    hint = host.PRIVILEGED if error.errno in (errno.EPERM, errno.EACCES) else None
    raise SandboxError(f"cannot set up the isolation of a RUN: {operation} {path}: {cause}", hint=hint) from error


def _pump(sandbox: Sandbox, streams: dict[int, "_Lines"]) -> None:
    """Hands on the output until the tree is dead and its pipes are empty."""
    stop = stopping.current()
    with selectors.DefaultSelector() as selector:
        selector.register(sandbox.pidfd, selectors.EVENT_READ)
        if stop is not None:
            selector.register(stop, selectors.EVENT_READ)
        for reader in streams:
            selector.register(reader, selectors.EVENT_READ)
        alive = True
        while alive:
            for key, _ in selector.select():
                if key.fileobj is stop:
                    raise Stopped
                if key.fd == sandbox.pidfd:
                    alive = False
                elif not _read(key.fd, streams[key.fd], 1 << 16):
                    selector.unregister(key.fd)
    for reader, lines in streams.items():
        # Only what is there now: a descriptor that has left the tree (over a socket) could write for ever.
        rest = _waiting(reader)
        while rest > 0:
            count = _read(reader, lines, rest)
            if not count:
                break
            rest -= count
        lines.end()


def _waiting(reader: int) -> int:
    count: int = struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))[0]
    return count


def _read(reader: int, lines: "_Lines", limit: int) -> int:
    data = os.read(reader, limit)
    lines.add(data)
    return len(data)


class _Lines:
    """Cuts one stream into lines."""

    def __init__(self, name: Stream, output: Output, tail: deque[bytes]) -> None:
        self._name = name
        self._output = output
        self._tail = tail
        self._rest = b""

    def add(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._write(line + b"\n")
        if len(self._rest) >= LONGEST_LINE:
            self.end()

    def end(self) -> None:
        if self._rest:
            self._write(self._rest)
            self._rest = b""

    def _write(self, line: bytes) -> None:
        self._output.write(self._name, line)
        self._tail.append(line if len(line) <= TAIL_LINE else line[:TAIL_LINE] + b"...\n")
