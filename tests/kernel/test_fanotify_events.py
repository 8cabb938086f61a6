"""What fanotify does beyond single operations, as far as a tracker relies on it; in plain Python."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fanotify import CHANGES, Event, Fanotify, Record, handle_of, open_by_handle
from tests.support.filesystems import mounted

pytestmark = [
    pytest.mark.root,
    pytest.mark.parametrize("place", ["tmpfs", "ext4", "xfs", "btrfs"], indirect=True),
]


@pytest.fixture
def group(place: Path) -> Iterator[Fanotify]:
    (place / "d").mkdir()
    (place / "d/f").write_text("content")
    with Fanotify() as group:
        group.mark(place)
        yield group


def masks(records: list[Record], name: bytes) -> list[Event]:
    return [record.mask for record in records if record.name == name]


def where(fd: int) -> str:
    return os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"))


def test_successive_events_of_one_object_are_one_mask_without_order(place: Path, group: Fanotify) -> None:
    Path("d/n").write_text("x")
    os.chmod("d/n", 0o600)
    assert masks(group.read(), b"n") == [Event.CREATE | Event.MODIFY | Event.CLOSE_WRITE | Event.ATTRIB]


def test_a_name_that_is_none_is_resolved_by_the_handle_of_the_file(place: Path, group: Fanotify) -> None:
    """O_TMPFILE: what was written before and after it got its name is told of #, a number, and the inode."""
    fd = os.open("d", os.O_TMPFILE | os.O_WRONLY)
    os.write(fd, b"x")
    os.link(f"/proc/self/fd/{fd}", place / "d/n", src_dir_fd=fd, follow_symlinks=True)
    os.close(fd)
    anonymous = [record for record in group.read() if record.name.startswith(b"#")]
    assert {record.target for record in anonymous} == {handle_of("d/n")}
    assert anonymous[0].target is not None
    opened = open_by_handle(place, anonymous[0].target, os.O_PATH)
    assert where(opened) == "d/n"
    os.close(opened)


def test_a_handle_leads_to_the_present_name_and_to_nothing_when_the_inode_is_gone(place: Path, group: Fanotify) -> None:
    handle = handle_of("d/f")
    os.rename("d/f", "moved")
    opened = open_by_handle(place, handle, os.O_PATH)
    assert where(opened) == "moved"
    os.close(opened)
    os.unlink("moved")
    with pytest.raises(OSError, match="Stale file handle"):
        open_by_handle(place, handle, os.O_PATH)
    # So whoever stored it beforehand knows which one it was: the event carries the very same.
    assert handle in [record.target for record in group.read() if record.mask & Event.DELETE_SELF]


def test_a_directory_is_told_by_a_handle_that_it_keeps_when_it_moves(place: Path, group: Fanotify) -> None:
    handle = handle_of("d")
    os.rename("d", "moved")
    Path("moved/n").write_text("x")
    assert [record.directory for record in group.read() if record.name == b"n"] == [handle]


def test_the_end_of_a_directory_waits_for_a_file_that_was_in_it(place: Path, group: Fanotify) -> None:
    handle = handle_of("d")
    with open("d/f"):
        shutil.rmtree("d")
        before = group.read()
        assert masks(before, b"d") == [Event.DELETE | Event.ONDIR]
        assert handle not in [record.target for record in before if record.mask & Event.DELETE_SELF]
    ended = [record for record in group.read() if record.mask & Event.DELETE_SELF]
    assert handle in [record.directory if record.target is None else record.target for record in ended]


def test_all_of_the_file_system_reports_whoever_writes_wherever(place: Path, group: Fanotify) -> None:
    """So a tracker tells its tree from what else is there."""
    foreign = place.parent / f"{place.name}-foreign"
    foreign.mkdir()
    child = os.fork()
    if child == 0:
        (foreign / "f").write_text("x")
        os._exit(0)
    os.waitpid(child, 0)
    assert handle_of(foreign) in [record.directory for record in group.read() if record.name == b"f"]


def test_no_other_file_system_reports(place: Path, group: Fanotify, tmp_path: Path) -> None:
    with mounted("tmpfs", tmp_path) as other:
        (other / "f").write_text("x")
        assert group.read() == []


def test_reading_raises_nothing(place: Path, group: Fanotify) -> None:
    assert Path("d/f").read_text() == "content"
    os.stat("d/f")
    os.listdir("d")
    assert group.read() == []


def test_a_queue_without_limit_loses_nothing(place: Path, group: Fanotify) -> None:
    """Twice what inotify keeps."""
    for number in range(16_384):
        os.close(os.open(f"d/{number}", os.O_CREAT | os.O_WRONLY))
        os.unlink(f"d/{number}")
    records = group.read()
    assert not any(record.mask & Event.Q_OVERFLOW for record in records)
    assert len({record.name for record in records if record.mask & CHANGES & Event.CREATE}) == 16_384
