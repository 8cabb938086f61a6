"""Connections that one thread reads from, and another may have to end."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, Self


class Connections:
    """All that requests of httpx make which are sent with ``trace``. A context manager."""

    def __init__(self) -> None:
        """None yet."""
        self._sockets: list[socket.socket] = []
        self._is_cut = False
        self._turn = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Told by httpcore of what it does. TLS takes the socket away from whoever has it, so ours is a copy."""
        if event == "connection.connect_tcp.complete":
            copy = info["return_value"].get_extra_info("socket").dup()
            with self._turn:
                self._sockets.append(copy)
                if self._is_cut:
                    _shut(copy)

    def cut(self) -> None:
        """Every read ends as if the other side had closed it, also of a connection that is still being made."""
        with self._turn:
            self._is_cut = True
            for one in self._sockets:
                _shut(one)

    def close(self) -> None:
        """Nobody reads any more."""
        with self._turn:
            for one in self._sockets:
                one.close()
            self._sockets.clear()


def _shut(one: socket.socket) -> None:
    # Closing a descriptor would wake nobody.
    with suppress(OSError):  # it was closed by the other side
        one.shutdown(socket.SHUT_RDWR)
