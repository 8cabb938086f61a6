"""What COPY would take is read on several threads; what comes of it is what one thread, in order, would make of it."""

import errno
import hashlib
import os
import resource
import shutil
import stat
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fswatch_builder._native import content, listing_differences
from tests.unit.native.trees import Tree

KINDS = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFLNK: 3, stat.S_IFIFO: 4}
FILES = 700


class Reference:
    """The record format, spelled out."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.first: dict[int, int] = {}
        self.records = 0
        self.add(b"fswb copy content 1")

    def add(self, part: bytes) -> None:
        self.hash.update(struct.pack("<Q", len(part)) + part)

    def number(self, number: int) -> None:
        self.add(struct.pack("<Q", number))

    def contents(self, directory: Path) -> None:
        self.add(b"contents")
        self.directory(directory)
        self.add(b"end")

    def directory(self, directory: Path) -> None:
        for path in sorted(directory.iterdir(), key=os.fsencode):
            is_directory = path.is_dir() and not path.is_symlink()
            if path.is_socket():
                self.add(b"entry")
                self.add(os.fsencode(path.name))
                self.add(b"socket")
                continue
            self.add(b"enter" if is_directory else b"entry")
            self.add(os.fsencode(path.name))
            self.metadata(path)
            if is_directory:
                self.directory(path)
                self.add(b"leave")

    def metadata(self, path: Path) -> None:
        status = path.lstat()
        self.records += 1
        self.number(KINDS[stat.S_IFMT(status.st_mode)])
        if not path.is_symlink():
            self.number(stat.S_IMODE(status.st_mode))
        self.number(status.st_rdev)
        self.add(os.fsencode(path.readlink()) if path.is_symlink() else b"")
        names = sorted(os.listxattr(path, follow_symlinks=False))
        self.number(len(names))
        for name in names:
            self.add(os.fsencode(name))
            self.add(os.getxattr(path, name, follow_symlinks=False))
        if path.is_file() and not path.is_symlink():
            if status.st_ino in self.first:
                self.add(b"link")
                self.number(self.first[status.st_ino])
            else:
                self.first[status.st_ino] = self.records
                self.add(hashlib.sha256(path.read_bytes()).digest())


def fill(tree: Tree) -> None:
    """Of every kind, in several batches; names of one inode are in different ones."""
    for number in range(FILES):
        tree.file(f"d/{number % 7}/{number % 3}/{number}", "x" * number)
    for number in range(0, FILES, 50):
        os.link(tree.path / f"d/{number % 7}/{number % 3}/{number}", tree.path / f"d/link{number}")
        os.setxattr(tree.path / f"d/{number % 7}/{number % 3}/{number}", "user.x", b"v" * number)
        tree.link(f"d/{number % 7}/symlink{number}", "target")
        tree.directory(f"d/{number % 7}/empty{number}")
    for size in (128 << 10, (128 << 10) + 1, 3 << 20):
        (tree.path / f"d/large{size}").write_bytes(os.urandom(1) * size)
    os.mkfifo(tree.path / "d/pipe")
    os.mknod(tree.path / "d/socket", stat.S_IFSOCK | 0o600)


def test_many_files_make_the_digest_that_their_records_make(context: Tree) -> None:
    fill(context)
    reference = Reference()
    reference.contents(context.path / "d")
    reference.add(b"entry")
    reference.add(b"0")
    reference.metadata(context.path / "d/0/0/0")
    for _ in range(5):
        found = content(context.root, [b"d", b"d/0/0/0"], owners=False)
        assert found.digest == reference.hash.digest()


def test_the_listing_tells_of_the_one_file_among_many(context: Tree) -> None:
    fill(context)
    before = content(context.root, [b"d"], owners=False)
    (context.path / "d/3/1/10").write_text("other")
    after = content(context.root, [b"d"], owners=False)
    found, count = listing_differences(before.listing, after.listing, 9)
    assert ([(one.path, one.what) for one in found], count) == ([(b"d/3/1/10", ["content"])], 1)


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """No more than that many can be opened."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/", os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_few_descriptors_are_enough_for_many_directories(context: Tree) -> None:
    for number in range(300):
        context.file(f"d/{number:03}/f", str(number))
    expected = content(context.root, [b"d"], owners=False)
    given = [os.fsencode(f"d/{number:03}/f") for number in range(300)]
    with descriptors(100):
        assert content(context.root, [b"d"], owners=False).digest == expected.digest
        content(context.root, given, owners=False)


def test_of_files_that_cannot_be_opened_the_first_is_told(context: Tree) -> None:
    for number in range(300):
        context.file(f"d/{number:03}", "text")
    # The directory has the only one.
    with descriptors(1), pytest.raises(OSError, match="openat") as caught:
        content(context.root, [b"d"], owners=False)
    assert (caught.value.errno, caught.value.filename) == (errno.EMFILE, b"d/000")
    content(context.root, [b"d"], owners=False)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_small_file_costs_six_calls(context: Tree, tmp_path: Path) -> None:
    for number in range(300):
        context.file(f"d/{number}", "text")
    script = "import sys; from fswatch_builder._native import Rootfs, content; r = Rootfs(sys.argv[1].encode())\n"
    script += "for _ in range(int(sys.argv[2])): content(r, [b'd'], owners=False)"
    counts = []
    for times in (0, 1):
        log = tmp_path / f"log{times}"
        strace: list[str | Path] = ["strace", "-f", "-qq", "-o", log]
        subprocess.run([*strace, sys.executable, "-c", script, context.path, str(times)], check=True)
        calls = (line.split(maxsplit=1)[1].partition("(")[0] for line in log.read_text().splitlines())
        counts.append(Counter(call for call in calls if call not in ("futex", "mmap", "munmap", "mprotect", "brk")))
    spent = counts[1] - counts[0]
    assert {name: count // 300 for name, count in spent.items() if count >= 300} == dict.fromkeys(
        ("statx", "openat2", "fstat", "flistxattr", "read", "close"), 1
    )
