"""Plays on a local disk what an NFS client believes: names that it looked up stay as they were."""

import builtins
import errno
import os
from typing import Any

import pytest


def believe_empty(monkeypatch: pytest.MonkeyPatch, *directories: str) -> None:
    """This machine looked at these ``directories`` when nothing was in them, and another one has filled them since:
    until a directory is opened, an open finds no name in it unless it makes one.
    """
    believed = set(directories)
    os_open, file_open = os.open, builtins.open

    def look(path: Any, makes: bool) -> None:
        if not makes and isinstance(path, str) and os.path.dirname(path) in believed:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def playing_os_open(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if path not in believed:
            look(path, bool(flags & os.O_CREAT))
        opened = os_open(path, flags, *arguments, **named)
        believed.discard(path)
        return opened

    def playing_open(path: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        look(path, "r" not in mode)
        return file_open(path, mode, *arguments, **named)

    monkeypatch.setattr(os, "open", playing_os_open)
    monkeypatch.setattr(builtins, "open", playing_open)
