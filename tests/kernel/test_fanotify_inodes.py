"""What the kernel tells of inodes, as far as the fanotify tracker relies on it: premises of its proof."""

import ctypes
import errno
import mmap
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fanotify import CHANGES, Event, Fanotify, Record, handle_of
from tests.support.filesystems import mounted

pytestmark = pytest.mark.root

MASK = CHANGES & ~Event.DELETE_SELF
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """On a file system where nobody else does anything."""
    with mounted("tmpfs", tmp_path) as root:
        for name in ("d", "e"):
            (root / name).mkdir()
        (root / "d/f").write_text("x" * 5000)
        monkeypatch.chdir(root)
        yield root
        monkeypatch.undo()


@pytest.fixture
def group(tree: Path) -> Iterator[Fanotify]:
    with marked(tree) as group:
        yield group


@contextmanager
def marked(path: Path | str, mask: int = MASK, *, unlimited: bool = True) -> Iterator[Fanotify]:
    with Fanotify(unlimited=unlimited) as group:
        group.mark(path, mask)
        yield group


def told(events: list[Record]) -> list[tuple[str, tuple[bytes, ...]]]:
    return [(event.what, event.names) for event in events]


def test_equal_names_of_one_inode_are_merged_and_their_order_is_lost(group: Fanotify) -> None:
    Path("d/new").write_text("created, then written, then removed")
    os.unlink("d/new")
    Path("d/f").write_text("other")
    events = group.read()
    assert ("MODIFY|CLOSE_WRITE|CREATE|DELETE", (b"new",)) in told(events)
    assert ("MODIFY|CLOSE_WRITE", (b"f",)) in told(events)


def test_a_name_that_goes_to_another_inode_is_two_events(group: Fanotify) -> None:
    before = handle_of("d/f")
    os.unlink("d/f")
    Path("d/f").touch()
    events = group.read()
    assert {event.target for event in events if event.names == (b"f",)} == {before, handle_of("d/f")}


def test_events_of_directories_and_of_other_things_under_one_name_are_not_merged(group: Fanotify) -> None:
    os.unlink("d/f")
    os.mkdir("d/f")
    assert [what for what, names in told(group.read()) if names == (b"f",)] == ["DELETE", "CREATE|ONDIR"]


def test_a_rename_is_one_event_with_both_names_and_tells_of_the_victim(group: Fanotify) -> None:
    Path("e/victim").touch()
    victim, moved = handle_of("e/victim"), handle_of("d/f")
    group.read()
    os.rename("d/f", "e/victim")
    events = group.read()
    rename = events[0]
    assert rename.what == "RENAME"
    assert rename.target == moved
    assert rename.places == ((handle_of("d"), b"f"), (handle_of("e"), b"victim"))
    assert ("ATTRIB", victim) in [(event.what, event.target) for event in events]


def test_an_exchange_is_two_renames_that_say_which_is_a_directory(group: Fanotify) -> None:
    # renameat2(2): AT_FDCWD = -100, RENAME_EXCHANGE = 2.
    assert _libc.renameat2(-100, b"d/f", -100, b"e", 2) == 0
    assert sorted(told(group.read())) == [("RENAME", (b"f", b"e")), ("RENAME|ONDIR", (b"e", b"f"))]


def test_a_link_made_and_removed_tells_of_the_inode(group: Fanotify) -> None:
    """What inotify is silent about."""
    file = handle_of("d/f")
    os.link("d/f", "e/link")
    Path("e/link").write_text("changed")
    os.unlink("e/link")
    events = group.read()
    assert {event.target for event in events} == {file}
    assert ("ATTRIB", ()) in told(events)


def test_an_event_of_a_directory_is_about_the_dot_in_it(group: Fanotify) -> None:
    os.chmod("d", 0o700)
    os.chmod(".", 0o700)
    events = group.read()
    assert told(events) == [("ATTRIB|ONDIR", (b".",))] * 2
    assert [event.target for event in events] == [None, None]
    assert [event.places[0][0] for event in events] == [handle_of("d"), handle_of(".")]


def test_a_file_born_without_a_name_tells_its_inode_under_the_name_it_gets(group: Fanotify) -> None:
    fd = os.open("d", os.O_TMPFILE | os.O_WRONLY)
    os.write(fd, b"before")
    os.link(f"/proc/self/fd/{fd}", "d/named", src_dir_fd=fd, follow_symlinks=True)
    os.write(fd, b"after")
    os.close(fd)
    inode, number = handle_of("d/named"), os.stat("d/named").st_ino
    events = group.read()
    assert ("MODIFY|CLOSE_WRITE", (f"#{number}".encode(),)) in told(events)
    assert ("CREATE", (b"named",)) in told(events)
    assert {event.target for event in events} == {inode}


def test_truncate_by_path_raises_modify_and_nothing_else(group: Fanotify) -> None:
    os.truncate("d/f", 1)
    assert told(group.read()) == [("MODIFY", (b"f",))]


def test_modify_can_be_taken_out_of_a_mark_in_force_and_put_back(group: Fanotify) -> None:
    Path("d/f").write_text("before")
    group.unmark(".", Event.MODIFY)
    os.truncate("d/f", 3)
    Path("d/new").write_text("made and closed")
    assert told(group.read()) == [("MODIFY|CLOSE_WRITE", (b"f",)), ("CLOSE_WRITE|CREATE", (b"new",))]
    group.mark(".", Event.MODIFY)
    os.truncate("d/f", 2)
    assert told(group.read()) == [("MODIFY", (b"f",))]


def test_a_group_that_has_taken_modify_out_leaves_it_to_others(group: Fanotify) -> None:
    other = Fanotify()
    other.mark(".")
    group.unmark(".", Event.MODIFY)
    os.truncate("d/f", 1)
    assert told(group.read()) == []
    assert told(other.read()) == [("MODIFY", (b"f",))]
    other.close()


def test_a_store_into_a_mapping_shows_at_the_last_close_only(group: Fanotify) -> None:
    fd = os.open("d/f", os.O_RDWR)
    mapped = mmap.mmap(fd, 0)
    os.close(fd)
    mapped[0] = 88
    mapped.flush()
    assert group.read() == []
    mapped.close()
    assert told(group.read()) == [("CLOSE_WRITE", (b"f",))]


def test_setting_the_same_times_raises_attrib(group: Fanotify) -> None:
    """What the probe asks of a file system."""
    times = os.stat(".")
    os.utime(".", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert told(group.read()) == [("ATTRIB|ONDIR", (b".",))]


def test_the_mark_hears_every_process_and_every_mount_of_the_file_system(
    group: Fanotify, tree: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["mount", "--bind", tree / "e", other], check=True)
    try:
        writer = subprocess.Popen([sys.executable, "-c", f"open({str(other / 'x')!r}, 'w').close()"])
        assert writer.wait() == 0
    finally:
        subprocess.run(["umount", other], check=True)
    [event] = group.read()
    assert (event.what, event.names, event.pid) == ("CLOSE_WRITE|CREATE", (b"x",), writer.pid)


def test_another_file_system_mounted_below_is_not_heard(group: Fanotify, tree: Path) -> None:
    (tree / "over").mkdir()
    with mounted("tmpfs", tree / "over") as over:
        (over / "f").touch()
    assert told(group.read()) == [("CREATE|ONDIR", (b"over",)), ("CREATE|ONDIR", (b"tmpfs",))]


def test_an_execution_tells_the_program_and_then_its_loader(tree: Path) -> None:
    """Both copied to the marked file system: that of / need not be one that takes a mark."""
    program = Path("/bin/sh").read_bytes()
    found = re.search(rb"/lib[^\0]*/ld[^\0]*\0", program)
    assert found is not None, "/bin/sh has no loader"
    loader = found[0]
    shutil.copy(os.fsdecode(loader[:-1]), "ld")
    # Relative to the working directory, as far as the kernel minds.
    Path("sh").write_bytes(program.replace(loader, b"ld".ljust(len(loader), b"\0"), 1))
    os.chmod("sh", 0o755)
    with marked(str(tree), Event.OPEN_EXEC | Event.MODIFY) as group:
        child = subprocess.Popen(["./sh", "-c", "exit 0"])
        assert child.wait() == 0
        executed = [event.target for event in group.read() if event.pid == child.pid and "OPEN_EXEC" in event.what]
    assert executed == [handle_of("sh"), handle_of("ld")]


def test_the_length_of_the_queue_is_no_less_than_the_fixed_part_of_each_event(group: Fanotify) -> None:
    """Linux 6.18.44 counts the fixed parts alone, 6.12.117 all of an event."""
    for number in range(100):
        os.mkdir(f"e/{'n' * number}x")
    assert group.queued() >= 24 * 100
    assert len(group.read()) == 100
    assert group.queued() == 0


def queue_limit() -> int:
    return int(Path("/proc/sys/fs/fanotify/max_queued_events").read_text())


def test_an_unlimited_queue_keeps_more_than_the_limit(group: Fanotify) -> None:
    for number in range(queue_limit() + 10):
        os.symlink("x", f"e/{number}")
    assert len(group.read()) == queue_limit() + 10


def test_a_full_queue_drops_the_newest_and_says_so_once(tree: Path) -> None:
    with marked(tree, unlimited=False) as group:
        for number in range(queue_limit() + 10):
            os.symlink("x", f"e/{number}")
        events = group.read()
    assert len(events) == queue_limit() + 1
    assert [event.what for event in events].count("Q_OVERFLOW") == 1
    assert events[-1] == Record(Event.Q_OVERFLOW, events[-1].pid)
    assert events[-2].names == (str(queue_limit() - 1).encode(),)


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("ext4", (1, lambda words: words[0], 2)),
        ("tmpfs", (1, lambda words: words[2] << 32 | words[1], 3)),
        ("xfs", (0x81, lambda words: words[1] << 32 | words[0], 3)),
        ("btrfs", (0x4D, lambda words: words[1] << 32 | words[0], 5)),
    ],
)
def test_handles_tell_inode_numbers(kind: str, layout: tuple[int, object, int], tmp_path: Path) -> None:
    type_, number, length = layout
    assert callable(number)
    with mounted(kind, tmp_path) as root:
        (root / "d/e").mkdir(parents=True)
        for name in ("f", "d/f", "d/e/f"):
            (root / name).touch()
        os.symlink("x", root / "d/link")
        for path in [root, *root.rglob("*")]:
            if path.name == "lost+found":
                continue
            handle = handle_of(str(path))
            assert (handle.type, len(handle.words)) == (type_, length)
            assert number(handle.words) == path.lstat().st_ino
        with marked(root) as group:
            (root / "d/e/new").touch()
            [event] = group.read()
            assert event.target == handle_of(str(root / "d/e/new"))
            assert event.places == ((handle_of(str(root / "d/e")), b"new"),)


def test_a_write_by_handle_without_a_cached_name_tells_the_inode(tmp_path: Path) -> None:
    """A file system that was mounted anew has no names cached."""
    mkfs = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if mkfs is None:
        pytest.skip("no mkfs.ext4 here")
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(8 << 20)
    subprocess.run([mkfs, "-q", image], check=True)
    point = tmp_path / "point"
    point.mkdir()
    mount: list[str | Path] = ["mount", "-o", "loop", image, point]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no ext4 can be mounted here: {done.stderr.strip()}")
    try:
        (point / "f").write_text("before")
        handle = handle_of(str(point / "f"))
    finally:
        subprocess.run(["umount", point], check=True)
    subprocess.run(mount, check=True)
    try:
        with marked(point) as group:
            raw = ctypes.create_string_buffer(
                len(handle.data).to_bytes(4, sys.byteorder) + handle.type.to_bytes(4, sys.byteorder) + handle.data
            )
            root = os.open(point, os.O_RDONLY)
            fd = _libc.open_by_handle_at(root, raw, os.O_WRONLY)
            os.close(root)
            assert fd >= 0, os.strerror(ctypes.get_errno())
            os.write(fd, b"after")
            os.close(fd)
            assert group.read() == [Record(Event.MODIFY | Event.CLOSE_WRITE, os.getpid(), target=handle)]
    finally:
        subprocess.run(["umount", point], check=True)


def test_a_btrfs_subvolume_has_no_mark_but_the_top_tells_of_it_under_another_number(tmp_path: Path) -> None:
    with mounted("btrfs", tmp_path) as root:
        (root / "d").mkdir()
        with marked(root) as group:
            subprocess.run(["btrfs", "subvolume", "create", root / "d/sub"], check=True, capture_output=True)
            created = group.read()
            (root / "d/sub/f").touch()
            inside = [event for event in group.read() if event.names == (b"f",)]
        assert [(event.what, event.names) for event in created if event.names] == [("CREATE|ONDIR", (b"sub",))]
        assert created[0].places[0][0] == handle_of(str(root / "d"))
        assert inside[0].places[0][0] == handle_of(str(root / "d/sub"))
        own, other = handle_of(str(root / "d")).words[2:4], handle_of(str(root / "d/sub")).words[2:4]
        assert own == (5, 0)
        assert other != own
        assert (root / "d/sub").stat().st_dev != root.stat().st_dev
        with pytest.raises(OSError, match="cross-device") as caught, marked(root / "d/sub"):
            pass
        assert caught.value.errno == errno.EXDEV


def test_an_overlay_has_no_mark_by_default(tmp_path: Path) -> None:
    with mounted("tmpfs", tmp_path) as disk:
        for name in ("lower", "upper", "work", "merged"):
            (disk / name).mkdir()
        options = f"lowerdir={disk}/lower,upperdir={disk}/upper,workdir={disk}/work"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", disk / "merged"], check=True)
        try:
            with pytest.raises(OSError, match="not supported") as caught, marked(disk / "merged"):
                pass
            assert caught.value.errno == errno.EOPNOTSUPP
        finally:
            subprocess.run(["umount", disk / "merged"], check=True)


def test_the_owner_of_a_user_namespace_marks_what_was_mounted_in_it_and_nothing_else(tmp_path: Path) -> None:
    script = """
import errno, sys
from tests.support.fanotify import Fanotify
def attempt(path, unlimited):
    try:
        with Fanotify(unlimited=unlimited) as group:
            group.mark(path)
            open(path + "/f", "w").close()
            return [event.names for event in group.read()]
    except OSError as error:
        return errno.errorcode[error.errno]
inside, outside = sys.argv[1:]
print(attempt(inside, True), attempt(inside, False), attempt(outside, False))
"""
    point = tmp_path / "point"
    point.mkdir()
    command = f"mount -t tmpfs none {point} && exec {sys.executable} -c '{script}' {point} {tmp_path}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    if done.stdout.startswith("EPERM EPERM"):
        pytest.skip("this kernel lets no user namespace mark a file system (Linux 6.16 does)")
    assert done.stdout.strip() == "EPERM [(b'f',)] EPERM"


def test_the_mask_of_the_tests_is_the_one_of_the_tracker() -> None:
    source = Path(__file__).parents[2] / "native/fswb-core/src/fanotify/group.rs"
    text = source.read_text().partition("const MASK: u64 =")[2].partition(";")[0]
    named = {name.split("FAN_")[1] for name in text.split() if "FAN_" in name}
    assert named == {"CREATE", "DELETE", "RENAME", "ATTRIB", "MODIFY", "CLOSE_WRITE", "ONDIR"}
    assert MASK == 0x2 | 0x4 | 0x8 | 0x100 | 0x200 | 0x10000000 | 0x40000000
