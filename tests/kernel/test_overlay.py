"""What an overlay keeps and what it changes when a file is copied up."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from tests.support.system_calls import checked, libc, unmount

pytestmark = pytest.mark.root


@contextmanager
def overlay(place: Path, options: str = "") -> Iterator[Path]:
    for name in ("upper", "work", "merged"):
        (place / name).mkdir(exist_ok=True)
    layers = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
    merged = place / "merged"
    try:
        checked(libc.mount(b"overlay", os.fsencode(merged), b"overlay", 0, os.fsencode(layers + options)))
    except OSError as error:
        pytest.skip(f"no overlay{options} here: {error.strerror}")
    try:
        yield merged
    finally:
        unmount(str(merged))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "lower/d").mkdir(parents=True)
    (tmp_path / "lower/f").write_text("content")
    os.link(tmp_path / "lower/f", tmp_path / "lower/link")
    return tmp_path


def test_a_copy_up_keeps_number_and_mtime_and_moves_ctime_without_a_write(place: Path) -> None:
    """A false hint: the digest decides."""
    os.unlink(place / "lower/link")
    with overlay(place) as merged:
        before = os.stat(merged / "f")
        os.close(os.open(merged / "f", os.O_WRONLY))
        after = os.stat(merged / "f")
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert after.st_ctime_ns != before.st_ctime_ns


def test_a_copy_up_breaks_links_but_with_an_index(place: Path) -> None:
    with overlay(place) as merged:
        (merged / "link").write_text("changed")
        assert (merged / "f").read_text() == "content"
        assert os.stat(merged / "f").st_ino != os.stat(merged / "link").st_ino


def test_with_an_index_a_copy_up_keeps_links(place: Path) -> None:
    with overlay(place, ",index=on") as merged:
        (merged / "link").write_text("changed")
        assert (merged / "f").read_text() == "changed"
        assert os.stat(merged / "f").st_ino == os.stat(merged / "link").st_ino


def test_a_directory_of_the_lower_layer_is_not_renamed(place: Path) -> None:
    with overlay(place, ",redirect_dir=off") as merged, pytest.raises(OSError, match="cross-device"):
        os.rename(merged / "d", merged / "e")


def test_what_is_written_to_a_fifo_moves_its_time_but_on_an_overlay(place: Path) -> None:
    os.mkfifo(place / "lower/p")

    def is_moved_by_a_write(fifo: Path) -> bool:
        before = os.stat(fifo).st_mtime_ns
        fd = os.open(fifo, os.O_RDWR)
        os.write(fd, b"x")
        os.close(fd)
        return os.stat(fifo).st_mtime_ns != before

    assert is_moved_by_a_write(place / "lower/p")
    with overlay(place) as merged:
        assert not is_moved_by_a_write(merged / "p")


def test_m9_a_watched_directory_reports_a_write_that_copies_up_and_the_copy_is_silent(place: Path) -> None:
    with overlay(place) as merged, INotify(nonblocking=True) as inotify:
        inotify.add_watch(merged, flags.CREATE | flags.MODIFY | flags.MOVED_TO)
        with open(merged / "f", "a") as file:
            file.write("more")
        assert [(event.mask, event.name) for event in inotify.read(timeout=0)] == [(flags.MODIFY, "f")]


def test_an_upper_directory_shows_whiteouts_as_moves(place: Path) -> None:
    with overlay(place) as merged, INotify(nonblocking=True) as inotify:
        inotify.add_watch(place / "upper", flags.CREATE | flags.MOVED_TO)
        os.unlink(merged / "f")
        assert [(event.mask, event.name) for event in inotify.read(timeout=0)] == [(flags.MOVED_TO, "f")]


def test_a_directory_far_down_the_lower_layer_is_not_moved_to_another_directory(place: Path) -> None:
    """Where it came from is kept in an attribute of 256 bytes at most (the module's redirect_max): EXDEV, as without
    `redirect_dir`, and programs copy. Within its directory its old name is enough.
    """
    deep = "/".join(["n" * 60] * 5)
    (place / "lower" / deep / "dir").mkdir(parents=True)
    with overlay(place, ",redirect_dir=on") as merged:
        with pytest.raises(OSError, match="cross-device"):
            os.rename(merged / deep / "dir", merged / "dir")
        os.rename(merged / deep / "dir", merged / deep / "renamed")
        os.rename(merged / "d", merged / deep / "d")
