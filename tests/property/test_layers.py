"""Trees of everything a layer can hold: base and layer unpack to the tree, and other readers accept what was packed."""

import contextlib
import os
import stat
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from tests.support.layers import Layers, at_layer_precision, whole

pytestmark = pytest.mark.root

#: Bytes of a name: what shells, tars and text encodings stumble over, and names as long as they can be.
_ODD = st.sampled_from(
    [b"a", b"a.b", b"a-b", b" ", b"-", b"\xff\xfe", b"\xc3\xa4", b"n\nl", b"\\", b"=", b"x" * 255, b"y" * 101]
)
_NAMES = st.one_of(_ODD, st.binary(min_size=1, max_size=12)).filter(
    lambda name: not set(name) & {0, 0x2F} and name not in (b".", b"..") and not name.startswith(b".wh.")
)
#: (uid_t)-1 means "unchanged" to chown(2); 07777777 is the largest that ustar has digits for.
_IDS = st.one_of(st.sampled_from([0, 1000, 0o7777777, 0o10000000, 2**32 - 2]), st.integers(0, 2**32 - 2))
#: What ext4 can hold, before and after what ustar can.
_TIMES = st.one_of(st.sampled_from([-(2**31), -1, 0, 8**11 - 1, 8**11]), st.integers(-(2**31), 2**33)).map(
    lambda seconds: seconds * 10**9 + 123_456_789
)
_XATTRS = st.dictionaries(
    st.sampled_from(["user.a", "user.b c", "trusted.t", "user." + "l" * 200]), st.binary(max_size=300), max_size=2
)
#: Pieces of a file: a hole or data, and how long.
_PIECES = st.lists(st.tuples(st.booleans(), st.integers(0, 200_000)), max_size=4)


@dataclass(frozen=True)
class Entry:
    """One thing that is made, or done to what is there; ``at`` picks where."""

    kind: str
    at: int
    name: bytes
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    xattrs: dict[str, bytes]
    pieces: list[tuple[bool, int]]


_KINDS = ["file", "file", "file", "directory", "directory", "link", "hard", "fifo", "device", "remove", "metadata"]
_TREES = st.lists(
    st.builds(
        Entry,
        kind=st.sampled_from(_KINDS),
        at=st.integers(0, 50),
        name=_NAMES,
        mode=st.integers(0, 0o7777),
        owner=st.tuples(_IDS, _IDS),
        mtime_ns=_TIMES,
        xattrs=_XATTRS,
        pieces=_PIECES,
    ),
    max_size=12,
)


def make(root: bytes, entries: list[Entry]) -> None:
    for entry in entries:
        there = _everything(root)
        directories = [path for path in there if stat.S_ISDIR(os.lstat(path).st_mode)]
        path = os.path.join(directories[entry.at % len(directories)], entry.name)
        # A name that is taken, a directory to link to, a path too long: nothing happens, as in a shell script.
        with contextlib.suppress(OSError):
            path = _make_one(entry, path, there)
            _describe(entry, path)


def _everything(root: bytes) -> list[bytes]:
    found = [root]
    for directory, directories, files in os.walk(root):
        found += [os.path.join(directory, name) for name in (*directories, *files)]
    return sorted(found)


def _make_one(entry: Entry, path: bytes, there: list[bytes]) -> bytes:
    other = there[entry.at % len(there)]
    match entry.kind:
        case "file":
            _write(path, entry.pieces)
        case "directory":
            os.mkdir(path)
        case "link":
            os.symlink(entry.name * (1 + entry.at % 3), path)
        case "hard":
            os.link(other, path, follow_symlinks=False)
        case "fifo":
            os.mkfifo(path)
        case "device":
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(entry.at * 80, entry.at * 20_000))
        case "remove" if other != there[0]:
            subprocess.run(["rm", "-rf", "--", other], check=True)
            raise FileNotFoundError
        case _:
            return other
    return path


def _write(path: bytes, pieces: list[tuple[bool, int]]) -> None:
    with open(path, "xb") as file:
        for number, (hole, length) in enumerate(pieces):
            if hole:
                file.truncate(file.seek(length, os.SEEK_CUR))
            else:
                file.write(bytes([number + 1]) * length)


def _describe(entry: Entry, path: bytes) -> None:
    os.chown(path, *entry.owner, follow_symlinks=False)
    kind = os.lstat(path).st_mode
    if not stat.S_ISLNK(kind):
        os.chmod(path, entry.mode)
    for name, value in entry.xattrs.items():
        if name.startswith("trusted.") or stat.S_ISREG(kind) or stat.S_ISDIR(kind):  # xattr(7)
            os.setxattr(path, name, value, follow_symlinks=False)
    os.utime(path, ns=(0, entry.mtime_ns), follow_symlinks=False)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(base=_TREES, changes=_TREES)
def test_base_and_layer_unpack_to_the_tree_and_others_read_them(base: list[Entry], changes: list[Entry]) -> None:
    with tempfile.TemporaryDirectory(prefix="fswb-property-") as place:
        layers = Layers(Path(place))
        root = os.path.join(place, "rootfs").encode()
        os.mkdir(root, 0o755)
        rootfs = native.Rootfs(root)
        baseline = native.Baseline.empty(rootfs)
        for number, entries in enumerate((base, changes)):
            make(root, entries)
            found = baseline.reconcile(rootfs, whole())
            layers.add(rootfs, baseline, found)
            baseline.advance(found)
            unpacked, _ = layers.unpack(Path(place) / f"unpacked-{number}")
            assert at_layer_precision(oracle.snapshot(unpacked.path)) == at_layer_precision(oracle.snapshot(root))
            _read_by_others(layers.tars[-1])


def _read_by_others(tar: Path) -> None:
    """GNU tar, which knows no hdrcharset and says so; and Python's tarfile: each path once, parents first."""
    listed = subprocess.run(["tar", "-tf", tar], capture_output=True, check=False, env={"LC_ALL": "C", **os.environ})
    assert listed.returncode == 0, listed.stderr
    assert all(b"'hdrcharset'" in line for line in listed.stderr.splitlines()), listed.stderr
    with tarfile.open(tar) as opened:
        names = [member.name for member in opened.getmembers()]
    assert len(names) == len(set(names))
    seen = {""}
    for name in names:
        assert os.path.dirname(name) in seen
        seen.add(name)
