"""Packing: what it reads, what it does not, and how it ends."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from types import FrameType

import pytest

from fswatch_builder import _native as native
from tests.support.layers import whole
from tests.support.registry import need


def pack(root: Path, target: Path | str) -> native.PackedLayer:
    rootfs = native.Rootfs(os.fsencode(root))
    baseline = native.Baseline.empty(rootfs)
    changes = baseline.reconcile(rootfs, whole())
    with open(target, "wb") as file:
        return native.pack_layer(rootfs, baseline, changes, file.fileno())


def holes_and_data(path: Path) -> bytes:
    """A file with a hole first, in the middle, and last, and data that ends off every boundary."""
    content = bytes(1 << 20) + b"x" * 5000 + bytes(3 << 20) + b"y" * 70_001 + bytes(600_000)
    with open(path, "wb") as file:
        file.seek(1 << 20)
        file.write(b"x" * 5000)
        file.seek(3 << 20, os.SEEK_CUR)
        file.write(b"y" * 70_001)
        file.truncate(len(content))
    assert path.stat().st_blocks * 512 < len(content) // 2
    return content


def test_d8_holes_are_zeros_for_every_reader_and_are_not_read_from_the_disk(tmp_path: Path) -> None:
    need("strace")
    root = tmp_path / "root"
    root.mkdir()
    content = holes_and_data(root / "sparse")
    script = (
        "import sys; from pathlib import Path; from tests.unit.native.test_pack import pack\n"
        "pack(Path(sys.argv[1]), sys.argv[2])"
    )
    trace = tmp_path / "trace"
    command = [sys.executable, "-c", script, str(root), str(tmp_path / "layer.tar")]
    subprocess.run(["strace", "-f", "-qq", "-o", trace, "--trace=pread64", *command], check=True)
    read = sum(int(count) for count in re.findall(r"pread64\(.* = (\d+)$", trace.read_text(), re.MULTILINE))
    # Reads are of up to half a MiB and may run on from data into a hole.
    assert 75_001 <= read <= 2 << 20
    with tarfile.open(tmp_path / "layer.tar") as tar:
        (member,) = tar.getmembers()
        assert not member.issparse()
        packed = tar.extractfile(member)
        assert packed is not None
        assert packed.read() == content


def test_d8_holes_or_zeros_make_the_same_layer(tmp_path: Path) -> None:
    for name in ("holes", "zeros"):
        (tmp_path / name).mkdir()
    content = holes_and_data(tmp_path / "holes/f")
    (tmp_path / "zeros/f").write_bytes(content)
    for name in ("holes", "zeros"):
        os.utime(tmp_path / name / "f", (5, 5))
    layers = [pack(tmp_path / name, os.devnull) for name in ("holes", "zeros")]
    assert layers[0].diff_id == layers[1].diff_id


def test_the_digests_recorded_are_those_of_the_contents(tmp_path: Path) -> None:
    content = holes_and_data(tmp_path / "sparse")
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "empty").touch()
    (tmp_path / "exact").write_bytes(b"z" * (512 << 10))
    rootfs = native.Rootfs(os.fsencode(tmp_path))
    baseline = native.Baseline.empty(rootfs)
    changes = baseline.reconcile(rootfs, whole())
    with open(os.devnull, "wb") as sink:
        native.pack_layer(rootfs, baseline, changes, sink.fileno())
    recorded = {change.path: change.after.sha256 for change in changes.changes if change.after is not None}
    for name, expected in {b"sparse": content, b"small": b"small", b"empty": b"", b"exact": b"z" * (512 << 10)}.items():
        assert recorded[name] == hashlib.sha256(expected).digest()


def test_ctrl_c_ends_the_packing_of_a_huge_file_at_once(tmp_path: Path) -> None:
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(1 << 42)  # hours of work

    class AlarmError(Exception):
        pass

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(AlarmError):
            pack(tmp_path, os.devnull)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_few_system_calls_a_file(tmp_path: Path) -> None:
    """Opening, looking, reading, closing; their directory is opened once."""
    need("strace")
    root = tmp_path / "root"
    files = 500
    for number in range(files):
        path = root / f"d{number // 100}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * number)
    script = (
        "import os, sys\nfrom fswatch_builder import _native as native\nfrom tests.support.layers import whole\n"
        "rootfs = native.Rootfs(os.fsencode(sys.argv[1]))\nbaseline = native.Baseline.empty(rootfs)\n"
        "changes = baseline.reconcile(rootfs, whole())\nos.stat('/begin')\n"
    )
    (tmp_path / "script").write_text(
        script.replace("os.stat('/begin')", "os.path.exists('/begin')")
        + "with open(os.devnull, 'wb') as sink:\n    native.pack_layer(rootfs, baseline, changes, sink.fileno())\n"
        + "os.path.exists('/end')\n"
    )
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-o", str(trace), sys.executable, str(tmp_path / "script"), str(root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, check=True, timeout=120, env=environment)
    calls = re.search(r'"/begin"(.*)"/end"', trace.read_text(), re.DOTALL)
    assert calls is not None
    # A call that another thread's cuts in two is told twice.
    lines = [line for line in calls[1].splitlines() if "resumed>" not in line]
    made = [line for line in lines if "(" in line and "futex" not in line]
    assert len(made) <= 4 * files + 100
