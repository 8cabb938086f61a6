"""Random trees, packed by GNU tar and by Python in every format they have: unpacked they are what ``tar -x`` makes."""

import os
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fswatch_builder._native import Baseline, Rootfs, unpack_layer
from fswatch_builder.changes.oracle import compare, snapshot
from tests.support.layers import whole

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

_CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


@dataclass(frozen=True)
class Made:
    """One entry of a tree. ``number`` decides what its kind leaves open."""

    path: bytes
    kind: str
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    number: int
    xattrs: tuple[tuple[str, bytes], ...]


names = st.sampled_from([b"a", b"b.c", b"caf\xe9\xff", "grüße".encode(), b"n" * 110, b" a\nb", b"-x", b"\\x41"])
kinds = st.sampled_from(
    ["file", "file", "file", "sparse", "directory", "directory", "symlink", "link", "link", "fifo", "device"]
)
owners = st.tuples(*[st.sampled_from([0, 1000, 65_534, 2_097_151, 2_097_152, 4_294_967_294])] * 2)
#: To the year 2242: nanoseconds in 64 bits end in 2262 (hazard E8 is what comes after).
times = st.one_of(
    st.integers(-(2**32), 2**33).map(lambda seconds: seconds * 10**9),
    st.integers(0, 2**61),
    st.sampled_from([0, -1, -1_500_000_000, 8_589_934_592 * 10**9]),
)
xattrs = st.sampled_from(
    [(), (), (("user.text", b"value"), ("user.bytes", b"\0\xff=\n")), (("security.capability", _CAPABILITY),)]
)
entries = st.builds(
    Made,
    path=st.lists(names, min_size=1, max_size=3).map(b"/".join),
    kind=kinds,
    mode=st.integers(0, 0o7777),
    owner=owners,
    mtime_ns=times,
    number=st.integers(0, 4000),
    xattrs=xattrs,
)
trees = st.lists(entries, max_size=12)


def make(root: Path, tree: Sequence[Made]) -> None:
    made: list[tuple[bytes, Made]] = []
    for entry in tree:
        path = os.path.join(os.fsencode(root), entry.path)
        taken = {name for name, other in made if other.kind != "directory"}
        above = {path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"}
        if os.path.lexists(path) or taken & above:
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _make_one(path, entry, sorted(taken))
        made.append((path, entry))
    for path, entry in reversed(made):  # directories after what is in them
        is_link = stat.S_ISLNK(os.lstat(path).st_mode)
        os.lchown(path, *entry.owner)
        if not is_link:
            os.chmod(path, entry.mode)
        for name, value in entry.xattrs if stat.S_ISREG(os.lstat(path).st_mode) else ():
            os.setxattr(path, name, value)
        os.utime(path, ns=(0, entry.mtime_ns), follow_symlinks=False)


def _make_one(path: bytes, entry: Made, others: list[bytes]) -> None:
    match entry.kind:
        case "file":
            with open(path, "xb") as file:
                file.write(b"%d\n" % entry.number * (entry.number % 700))
        case "sparse":
            with open(path, "xb") as file:
                for part in range(entry.number % 9):
                    file.seek((part + 1) * 40_000)
                    file.write(b"part %d" % entry.number)
                file.truncate(400_000 + entry.number)
        case "directory":
            os.mkdir(path)
        case "symlink":
            os.symlink(b"../" * (entry.number % 3) + b"t" * (1 + entry.number % 150), path)
        case "link" if others:
            os.link(others[entry.number % len(others)], path, follow_symlinks=False)
        case "device":
            kind = stat.S_IFCHR if entry.number % 2 else stat.S_IFBLK
            os.mknod(path, kind | 0o600, os.makedev(entry.number, entry.number * 200))
        case _:
            os.mkfifo(path)


def gnu_tar(*options: str) -> Callable[[Path, Path], None]:
    def pack(root: Path, archive: Path) -> None:
        command = ["tar", "--numeric-owner", *options, "-C", str(root), "-cf", str(archive), "."]
        # What a format cannot hold is left out, and told by the exit status.
        subprocess.run(command, check=False, capture_output=True)

    return pack


def python_tar(form: int) -> Callable[[Path, Path], None]:
    def pack(root: Path, archive: Path) -> None:
        with tarfile.open(archive, "w", format=form) as tar:
            for directory, below, files in os.walk(os.fsencode(root)):
                for name in [b"", *below, *files] if directory == os.fsencode(root) else [*below, *files]:
                    path = os.path.join(directory, name)
                    if os.path.isdir(path) and not os.path.islink(path) and name in files:
                        continue
                    inside = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
                    _add(tar, os.fsdecode(path), inside)

    return pack


def _add(tar: tarfile.TarFile, path: str, name: str) -> None:
    info = tar.gettarinfo(path, name)
    info.mtime = int(info.mtime)  # a float in a PAX header may be 1e-09, which is no time to anybody
    try:
        if info.isreg():
            with open(path, "rb") as file:
                tar.addfile(info, file)
        else:
            tar.addfile(info)
    except ValueError:  # the format cannot hold it
        if info.isdir():
            # What is below it would make it anew, with a time of its own.
            info.mtime = info.uid = info.gid = 0
            with suppress(ValueError):  # its name is too long, and so are those below
                tar.addfile(info)


SPARSE = ["--sparse", "--hole-detection=raw"]
XATTRS = ["--format=posix", "--xattrs", "--xattrs-include=*"]
WRITERS = {
    "v7": gnu_tar("--format=v7"),
    "ustar": gnu_tar("--format=ustar"),
    "oldgnu": gnu_tar("--format=oldgnu"),
    "gnu": gnu_tar("--format=gnu"),
    "gnu, sparse": gnu_tar("--format=gnu", *SPARSE),
    "posix": gnu_tar(*XATTRS),
    "posix, sparse 0.0": gnu_tar(*XATTRS, *SPARSE, "--sparse-version=0.0"),
    "posix, sparse 0.1": gnu_tar(*XATTRS, *SPARSE, "--sparse-version=0.1"),
    "posix, sparse 1.0": gnu_tar(*XATTRS, *SPARSE, "--sparse-version=1.0"),
    "tarfile ustar": python_tar(tarfile.USTAR_FORMAT),
    "tarfile gnu": python_tar(tarfile.GNU_FORMAT),
    "tarfile pax": python_tar(tarfile.PAX_FORMAT),
}


@pytest.mark.parametrize("writer", WRITERS)
@settings(max_examples=12)
@given(tree=trees)
def test_unpacking_is_what_tar_does(writer: str, tree: list[Made]) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, theirs, ours = (Path(place, name) for name in ("source", "theirs", "ours"))
        for directory in (source, theirs, ours):
            directory.mkdir()
        archive = Path(place, "archive.tar")
        make(source, tree)
        WRITERS[writer](source, archive)
        options = ["--numeric-owner", "--same-owner", "--xattrs", "--xattrs-include=*", "--delay-directory-restore"]
        extract = ["tar", "-xpf", str(archive), "-C", str(theirs), *options]
        subprocess.run(extract, check=True, capture_output=True)
        rootfs = Rootfs(os.fsencode(ours))
        baseline = Baseline.empty(rootfs)
        with archive.open("rb") as file:
            unpack_layer(rootfs, baseline, file.fileno())
        assert compare(snapshot(os.fsencode(theirs)), snapshot(os.fsencode(ours))) == []
        # What was recorded on the way is what a look at everything finds.
        assert [change.path for change in baseline.reconcile(rootfs, whole(), hash="all").changes] == []
