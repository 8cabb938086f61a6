"""Who changed what, when asked for."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, FilesystemMark, HintSet, Process, ProcessRecord, Rootfs
from tests.support.rootfs import BUSYBOX

pytestmark = pytest.mark.root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(os.fsdecode(BUSYBOX), root / "bin/busybox")
    (root / "d").mkdir()
    (root / "d/f").write_text("before")
    return root


@pytest.fixture
def rootfs(root: Path) -> Rootfs:
    return Rootfs(os.fsencode(root))


@pytest.fixture
def mark(rootfs: Rootfs, baseline: Baseline, root: Path) -> Iterator[FilesystemMark]:
    mark = FilesystemMark(rootfs, baseline, programs_on=[os.fsencode(root)])
    yield mark
    mark.close()


def settled(
    mark: FilesystemMark, rootfs: Rootfs, baseline: Baseline
) -> tuple[dict[bytes, list[int]], dict[int, Process], ProcessRecord]:
    """Pids by changed path, and processes by pid."""
    hints = mark.settle(baseline)
    record = mark.take_record()
    assert record is not None
    changes = baseline.reconcile(rootfs, hints)
    return dict(record.attribute(baseline, changes)), {told.pid: told for told in record.processes}, record


def busybox(root: Path, *words: str) -> int:
    """Runs it to its end; returns the number its process had."""
    child = subprocess.Popen([root / "bin/busybox", *words], cwd=root)
    assert child.wait() == 0
    return child.pid


def shell(root: Path, script: str) -> int:
    """The same, of a shell."""
    return busybox(root, "sh", "-ec", script)


def test_each_path_has_the_processes_that_touched_it_and_they_their_programs(
    mark: FilesystemMark, root: Path, rootfs: Rootfs, baseline: Baseline
) -> None:
    pid = shell(root, "echo a >d/f; echo b >d/new")
    os.chmod(root / "d/f", 0o600)
    touched, processes, record = settled(mark, rootfs, baseline)
    assert touched == {b"d": [pid], b"d/f": sorted([pid, os.getpid()]), b"d/new": [pid]}
    assert processes[pid].programs == [os.fsencode(root / "bin/busybox")]
    assert processes[pid].state in ("seen", "started"), "it may have ended before it was looked at"
    own = processes[os.getpid()]
    assert (own.state, own.programs) == ("seen", [os.readlink("/proc/self/exe").encode()])
    assert own.arguments == Path("/proc/self/cmdline").read_bytes()[:-1].split(b"\0")
    assert record.is_complete
    assert record.unheard == []


def test_what_is_in_new_directories_has_its_processes_too(
    mark: FilesystemMark, root: Path, rootfs: Rootfs, baseline: Baseline
) -> None:
    maker, writer, remover = (busybox(root, *words.split()) for words in ("mkdir -p n/o/p", "cp d/f n/o/p/f", "rm d/f"))
    touched, _, _ = settled(mark, rootfs, baseline)
    assert touched == {
        b"d": [remover],
        b"d/f": [remover],
        b"n": [maker],
        b"n/o": [maker],
        b"n/o/p": [maker],
        b"n/o/p/f": [writer],
    }


def test_what_comes_with_a_directory_is_its_mover_s(
    mark: FilesystemMark, root: Path, rootfs: Rootfs, baseline: Baseline
) -> None:
    outside = root.parent / "outside"
    shell(root, f"mkdir -p {outside}/deep; echo x >{outside}/deep/f; echo y >{outside}/deep/g")
    mover = busybox(root, "mv", str(outside), "m")
    later = shell(root, "echo z >m/new")
    touched, _, _ = settled(mark, rootfs, baseline)
    assert touched == {b"m": [mover], b"m/deep": [mover], b"m/deep/f": [mover], b"m/deep/g": [mover], b"m/new": [later]}


def test_a_file_that_others_write_under_a_number_of_ours_is_not_ours(
    mark: FilesystemMark, root: Path, rootfs: Rootfs, baseline: Baseline
) -> None:
    """ext4 gives the number of a removed file to the next that is made."""
    number = (root / "d/f").stat().st_ino
    remover = busybox(root, "rm", "d/f")
    stranger = shell(root, "echo x >../stranger")
    if (root.parent / "stranger").stat().st_ino != number:
        pytest.skip("this file system does not use numbers again")
    touched, processes, _ = settled(mark, rootfs, baseline)
    assert touched[b"d/f"] == [remover]
    assert stranger not in processes


def test_a_script_and_its_interpreter_are_both_told(
    mark: FilesystemMark, root: Path, rootfs: Rootfs, baseline: Baseline
) -> None:
    script = root / "script"
    script.write_text(f"#!{root}/bin/busybox sh\necho x >d/f\n")
    script.chmod(0o755)
    mark.settle(baseline)
    child = subprocess.Popen([script], cwd=root)
    assert child.wait() == 0
    _, processes, _ = settled(mark, rootfs, baseline)
    assert processes[child.pid].programs == [os.fsencode(script), os.fsencode(root / "bin/busybox")]


def test_a_process_that_ended_unseen_and_started_nothing_is_told_as_that(
    mark: FilesystemMark, root: Path, rootfs: Rootfs, baseline: Baseline
) -> None:
    mark.pause()
    child = os.fork()
    if child == 0:
        os.chmod(root / "d/f", 0o600)
        os._exit(0)
    os.waitpid(child, 0)
    mark.resume()
    touched, processes, _ = settled(mark, rootfs, baseline)
    assert touched == {b"d/f": [child]}
    assert (processes[child].state, processes[child].programs) == ("ended", [])


CLONE_ARGUMENTS = (
    *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack"),
    *("stack_size", "tls", "set_tid", "set_tid_size", "cgroup"),
)
"""struct clone_args of linux/sched.h"""


class CloneArguments(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in CLONE_ARGUMENTS]


CLONE3 = 435


def fork_as(number: int) -> int:
    """fork(2) with a number of our choice: 0 in the child."""
    chosen = ctypes.c_int(number)
    address = ctypes.cast(ctypes.pointer(chosen), ctypes.c_void_p).value
    given = CloneArguments(exit_signal=signal.SIGCHLD, set_tid=address, set_tid_size=1)
    return int(ctypes.CDLL(None).syscall(CLONE3, ctypes.byref(given), ctypes.sizeof(given)))


def test_a_number_that_two_processes_had_is_never_told_with_a_program_of_one(
    root: Path, rootfs: Rootfs, baseline: Baseline
) -> None:
    reading, writing = os.pipe()
    first = os.fork()
    if first == 0:
        os.read(reading, 1)
        os.chmod(root / "d/f", 0o600)
        os._exit(0)
    mark = FilesystemMark(rootfs, baseline, programs_on=[os.fsencode(root)])
    try:
        mark.pause()
        os.write(writing, b"x")
        os.waitpid(first, 0)
        second = fork_as(first)
        if second == 0:
            os.execv(root / "bin/busybox", ["busybox", "touch", f"{root}/d/new"])
        assert second == first
        os.waitpid(second, 0)
        mark.resume()
        touched, processes, _ = settled(mark, rootfs, baseline)
    finally:
        mark.close()
        os.close(reading)
        os.close(writing)
    assert touched[b"d/f"] == [first]
    assert (processes[first].state, processes[first].programs) == ("ambiguous", [])


def test_a_process_that_was_there_before_and_is_still_is_itself(root: Path, rootfs: Rootfs, baseline: Baseline) -> None:
    program = (
        "import os, sys; sys.stdin.read(1); os.chmod(sys.argv[1], 0o600); print(); sys.stdout.flush(); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, root / "d/f"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        mark = FilesystemMark(rootfs, baseline, programs_on=[])
        child.stdin.write(b"x")
        child.stdin.flush()
        child.stdout.readline()
        touched, processes, _ = settled(mark, rootfs, baseline)
        mark.close()
    assert touched == {b"d/f": [child.pid]}
    process = processes[child.pid]
    assert process.programs == [os.fsencode(os.path.realpath(sys.executable))]
    assert process.arguments is not None
    assert process.arguments[-1] == os.fsencode(root / "d/f")


def test_programs_on_what_cannot_be_marked_are_said_to_start_unheard(
    root: Path, rootfs: Rootfs, baseline: Baseline
) -> None:
    mark = FilesystemMark(rootfs, baseline, programs_on=[b"/proc", b"/no/such/place"])
    pid = shell(root, "echo x >d/f")
    _, processes, record = settled(mark, rootfs, baseline)
    mark.close()
    assert b"/no/such/place" in record.unheard
    assert processes[pid].state in ("seen", "ended")


def test_each_settle_begins_anew_and_executing_is_no_change(
    mark: FilesystemMark, root: Path, rootfs: Rootfs, baseline: Baseline
) -> None:
    (root / "d/f").write_text("after")
    mark.settle(baseline)
    shell(root, ":")
    touched, processes, record = settled(mark, rootfs, baseline)
    assert (touched, processes, record.is_complete) == ({}, {}, True)
    assert mark.take_record() is None


def test_what_the_builder_writes_is_nobody_s(
    mark: FilesystemMark, root: Path, rootfs: Rootfs, baseline: Baseline
) -> None:
    (root / "d/f").write_text("after")
    hints = HintSet()
    hints.add(b"d/f", "entry")
    changes = baseline.reconcile(rootfs, hints, [b"d/f"])
    baseline.advance(changes)
    mark.advance(baseline, changes)
    _, processes, _ = settled(mark, rootfs, baseline)
    assert processes == {}


def test_more_than_there_is_room_for_is_told(mark: FilesystemMark, root: Path, baseline: Baseline) -> None:
    for number in range((1 << 17) + 1):  # each an inode and a name
        os.symlink("x", root / f"d/{number}")
    mark.settle(baseline)
    record = mark.take_record()
    assert record is not None
    assert not record.is_complete


def test_nothing_is_recorded_unless_asked_for(rootfs: Rootfs, root: Path, baseline: Baseline) -> None:
    mark = FilesystemMark(rootfs, baseline)
    try:
        (root / "d/f").write_text("after")
        mark.settle(baseline)
        assert mark.take_record() is None
    finally:
        mark.close()
