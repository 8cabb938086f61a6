"""The line of progress: on terminals, after a moment, and gone in the end."""

import io
import time

import pytest

from fswatch_builder.cli.status import StatusLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_quick_says_nothing() -> None:
    stream = Terminal()
    with StatusLine(stream) as line:
        line.show("verifying")
    assert stream.getvalue() == ""


def test_what_takes_long_is_told_not_too_often_and_wiped_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stream = Terminal()
    with StatusLine(stream) as line:
        for moment in (0.5, 1.0, 1.1, 1.2, 1.3):
            now[0] = moment
            line.show(str(moment))
    assert stream.getvalue() == "\r\x1b[K1.0\r\x1b[K1.2\r\x1b[K"


def test_elsewhere_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with StatusLine(stream) as line:
        now[0] = 100
        line.show("verifying")
    assert stream.getvalue() == ""
