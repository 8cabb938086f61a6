"""Lends an SSH agent of this user to a RUN: keys may be listed and used, and nothing else.

The RUN does not get the agent's own socket: that belongs to the user who builds, who may be another than the one of the
RUN, and who speaks to it may add, remove and lock keys as well. It gets a socket of ours, whose requests are passed on
one by one. Messages are those of the SSH agent protocol (RFC draft-ietf-sshm-ssh-agent): a length of four bytes, then a
type of one byte.
"""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Lock, Thread
from typing import Final

LARGEST: Final = 256 << 10
"""Bytes of a message, as in OpenSSH."""

_REQUEST_IDENTITIES: Final = 11
_SIGN_REQUEST: Final = 13
_FAILURE: Final = struct.pack(">IB", 1, 5)

_MOST: Final = 64
"""Connections at a time; each has a socket to the agent as well. One more is hung up."""

_CONNECT_S: Final = 10.0

NAME: Final = "agent"


@contextmanager
def lent(agent: str, directory: str, *, mode: int, uid: int, gid: int) -> Iterator[None]:
    """A socket called ``NAME`` in ``directory`` as long as the context lasts; ``agent`` is the path of the real one.

    Connections that are open at the end are cut.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        at = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listener.bind(f"/proc/self/fd/{at}/{NAME}")  # a path of a socket has 107 bytes at most
        finally:
            os.close(at)
        path = os.path.join(directory, NAME)
        os.chown(path, uid, gid)
        os.chmod(path, mode)
        listener.listen()
        lender = _Lender(listener, agent)
        stack.callback(lender.close)
        lender.start()
        yield


class _Lender:
    """One thread that accepts, and one for each connection."""

    def __init__(self, listener: socket.socket, agent: str) -> None:
        self._listener = listener
        self._agent = agent
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._acceptor = Thread(target=self._accept, name="ssh-agent")
        self._threads: list[Thread] = []

    def start(self) -> None:
        self._acceptor.start()

    def close(self) -> None:
        """Returns when no thread is left."""
        with self._lock:
            self._closed = True
            waiting = [self._listener, *self._open]
        for connection in waiting:
            # Wakes whoever waits on it. One that the other side has closed is not connected any more.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # shut down
            with self._lock:
                if self._closed or len(self._open) >= 2 * _MOST:
                    connection.close()
                    continue
                self._open.add(connection)
                thread = Thread(target=self._serve, args=(connection,), name="ssh-agent-connection")
                self._threads = [*filter(Thread.is_alive, self._threads), thread]
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            # The RUN sees an agent that hangs up, whatever the reason.
            with suppress(OSError, _HungUpError):
                agent.settimeout(_CONNECT_S)
                agent.connect(self._agent)
                agent.settimeout(None)  # somebody may have to confirm the use of a key
                # From here on `close` wakes us; if it was there before, it does not know of this socket.
                with self._lock:
                    self._open.add(agent)
                    closed = self._closed
                while not closed:
                    request = _message(connection)
                    if request[0] in (_REQUEST_IDENTITIES, _SIGN_REQUEST):
                        agent.sendall(struct.pack(">I", len(request)) + request)
                        answer = _message(agent)
                        connection.sendall(struct.pack(">I", len(answer)) + answer)
                    else:
                        connection.sendall(_FAILURE)
            with self._lock:
                self._open -= {connection, agent}


class _HungUpError(Exception):
    """The other side is gone, or does not speak the protocol."""


def _message(connection: socket.socket) -> bytes:
    (length,) = struct.unpack(">I", _exactly(connection, 4))
    if not 1 <= length <= LARGEST:
        raise _HungUpError
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        piece = connection.recv(length - len(found))
        if not piece:
            raise _HungUpError
        found += piece
    return bytes(found)
