"""Leases (fcntl(2), F_SETLEASE): why a file is asked for again, and how its holder hears of that."""

import fcntl
import os
import signal
from pathlib import Path

import pytest

from tests.support.leases import held_lease


@pytest.mark.parametrize("place", ["here"], indirect=True)
def test_an_open_that_does_not_wait_fails_for_a_lease_and_asks_its_holder_to_give_way(place: Path) -> None:
    Path("f").write_text("x")
    asked: list[int] = []
    before = signal.signal(signal.SIGIO, lambda number, _: asked.append(number))
    fd = os.open("f", os.O_RDONLY)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        with pytest.raises(BlockingIOError):
            os.open("f", os.O_RDONLY | os.O_NONBLOCK)
        assert asked == [signal.SIGIO]
        assert fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK, "what the holder is asked to come down to"
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(os.open("f", os.O_RDONLY | os.O_NONBLOCK))
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, before)


@pytest.mark.parametrize("place", ["here"], indirect=True)
def test_a_name_alone_is_opened_under_a_lease(place: Path) -> None:
    """O_PATH, stat, attributes: only what reads is held up."""
    Path("f").write_text("x")
    with held_lease("f"):
        os.close(os.open("f", os.O_PATH))
        assert os.stat("f").st_size == 1
        assert os.listxattr("f") == []
