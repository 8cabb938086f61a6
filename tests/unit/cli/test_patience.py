"""A word for what takes long, and none for what does not."""

import io
import sys
import time

import pytest

from fswatch_builder.cli import patience


def test_what_is_slow_says_so_and_what_is_quick_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(patience, "PATIENCE_S", 0.01)
    with patience.patience("recording tree"):
        deadline = time.monotonic() + 10
        while not err.getvalue() and time.monotonic() < deadline:
            time.sleep(0.005)
    assert err.getvalue() == "recording tree ...\n"
    monkeypatch.setattr(patience, "PATIENCE_S", 600)
    with patience.patience("recording again"):
        pass
    assert err.getvalue() == "recording tree ...\n"
