"""Unpacking layers that others wrote: Python's tarfile and GNU tar are the second opinion."""

import hashlib
import io
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder import _native
from tests.support.confined import run_confined
from tests.support.layers import whole

MTIME = 1_600_000_000


class Layer:
    """A tar under construction, members owned by the user who runs the tests."""

    def __init__(self, path: Path, **options: object) -> None:
        self.path = path
        self.tar = tarfile.open(path, "w", **options)  # type: ignore[call-overload]  # noqa: SIM115

    def add(self, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: object) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.mtime = kind, len(content), MTIME
        info.uid, info.gid, info.mode = os.getuid(), os.getgid(), 0o755 if kind == tarfile.DIRTYPE else 0o644
        for field, value in fields.items():
            setattr(info, field, value)
        self.tar.addfile(info, io.BytesIO(content))

    def close(self) -> Path:
        self.tar.close()
        return self.path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def rootfs(directory: Path) -> _native.Rootfs:
    return _native.Rootfs(os.fsencode(directory))


def unpack(rootfs: _native.Rootfs, path: Path, **limits: int) -> _native.UnpackedLayer:
    with path.open("rb") as layer:
        return _native.unpack_layer(rootfs, _native.Baseline.empty(rootfs), layer.fileno(), **limits)


def entries(directory: Path) -> Iterator[tuple[str, object]]:
    """Everything a tar can say about a tree."""
    for path in sorted(directory.rglob("*")):
        found = path.lstat()
        kind = stat.S_IFMT(found.st_mode)
        content = os.readlink(path) if kind == stat.S_IFLNK else path.read_bytes() if kind == stat.S_IFREG else None
        yield (
            str(path.relative_to(directory)),
            (found.st_mode, found.st_uid, found.st_gid, found.st_nlink, int(found.st_mtime), content),
        )


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tarfile_writes_is_what_is_unpacked(
    form: int, tmp_path: Path, directory: Path, rootfs: _native.Rootfs
) -> None:
    layer = Layer(tmp_path / "layer.tar", format=form)
    deep = "/".join(["directory-of-a-long-name"] * 5)
    layer.add(deep, kind=tarfile.DIRTYPE, mode=0o1777)
    layer.add(f"{deep}/file", b"content" * 100_000, mode=0o4755)
    layer.add("link", kind=tarfile.SYMTYPE, linkname="../outside")
    layer.add("hard", kind=tarfile.LNKTYPE, linkname="link")
    layer.add("fifo", kind=tarfile.FIFOTYPE)
    layer.add("empty", mode=0)
    path = layer.close()
    unpacked = unpack(rootfs, path)
    content = path.read_bytes()
    assert (unpacked.diff_id, unpacked.size) == (hashlib.sha256(content).digest(), len(content))
    assert unpacked.entries == 6
    assert unpacked.warnings == []
    assert (directory / deep / "file").read_bytes() == b"content" * 100_000
    assert (directory / deep / "file").stat().st_mode & 0o7777 == 0o4755
    assert (directory / deep).stat().st_mode & 0o7777 == 0o1777
    assert int((directory / deep).stat().st_mtime) == MTIME
    assert (directory / "link").readlink() == Path("../outside")
    assert (directory / "hard").lstat().st_ino == (directory / "link").lstat().st_ino
    assert stat.S_ISFIFO((directory / "fifo").stat().st_mode)


@pytest.mark.skipif(not shutil.which("tar"), reason="GNU tar is not installed")
@pytest.mark.parametrize("form", ["v7", "ustar", "oldgnu", "gnu", "posix"])
def test_what_gnu_tar_writes_is_unpacked_as_gnu_tar_does(
    form: str, tmp_path: Path, directory: Path, rootfs: _native.Rootfs
) -> None:
    source = tmp_path / "source"
    (source / "a/b").mkdir(parents=True)
    (source / "a/file").write_bytes(b"x" * 1025)
    (source / "a/b/hard").hardlink_to(source / "a/file")
    (source / "link").symlink_to("a/file")
    (source / "a/file").chmod(0o6755)
    if form in ("gnu", "oldgnu", "posix"):
        (source / ("n" * 200)).symlink_to("t" * 200)
        (source / "café").touch()
    for path in (source / "a", source / "a/b"):
        os.utime(path, (MTIME, MTIME))
    layer = tmp_path / "layer.tar"
    subprocess.run(["tar", "-C", source, f"--format={form}", "-cf", layer, "."], check=True)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    subprocess.run(["tar", "-C", theirs, "-xpf", layer], check=True)
    unpack(rootfs, layer)
    assert list(entries(directory)) == list(entries(theirs)) == list(entries(source))


def test_a_layer_is_read_from_a_pipe_in_pieces(tmp_path: Path, directory: Path, rootfs: _native.Rootfs) -> None:
    layer = Layer(tmp_path / "layer.tar")
    layer.add("file", os.urandom(1_000_001))
    path = layer.close()
    reader, writer = os.pipe()

    def feed() -> None:
        with open(writer, "wb", buffering=0) as pipe:
            content = path.read_bytes()
            pipe.writelines(content[start : start + 1021] for start in range(0, len(content), 1021))

    feeder = threading.Thread(target=feed)
    feeder.start()
    unpacked = _native.unpack_layer(rootfs, _native.Baseline.empty(rootfs), reader)
    feeder.join()
    os.close(reader)
    assert unpacked.diff_id == hashlib.sha256(path.read_bytes()).digest()


def test_whiteouts_of_a_layer_remove(tmp_path: Path, directory: Path, rootfs: _native.Rootfs) -> None:
    baseline = _native.Baseline.empty(rootfs)
    lower, upper = Layer(tmp_path / "lower.tar"), Layer(tmp_path / "upper.tar")
    for name in ("d/one", "d/two", "e/three"):
        lower.add(name)
    upper.add("d/.wh.one")
    upper.add("e/.wh..wh..opq")
    upper.add("e/four")
    for layer in (lower, upper):
        with layer.close().open("rb") as file:
            _native.unpack_layer(rootfs, baseline, file.fileno())
    assert baseline.paths() == [b"d", b"d/two", b"e", b"e/four"]
    assert sorted(path.name for path in directory.rglob("*")) == ["d", "e", "four", "two"]


def test_l1_a_name_that_leads_out_is_refused_with_its_place(
    tmp_path: Path, directory: Path, rootfs: _native.Rootfs
) -> None:
    layer = Layer(tmp_path / "layer.tar")
    layer.add("file", b"x")
    layer.add("../evil", b"x")
    with pytest.raises(_native.ArchiveError) as refused:
        unpack(rootfs, layer.close())
    assert (refused.value.offset, refused.value.path) == (1024, b"../evil")
    assert ".." in refused.value.reason
    assert not (tmp_path / "evil").exists()


def test_l2_a_link_out_of_the_root_is_followed_inside_it(
    tmp_path: Path, directory: Path, rootfs: _native.Rootfs
) -> None:
    layer = Layer(tmp_path / "layer.tar")
    layer.add("out", kind=tarfile.SYMTYPE, linkname=str(tmp_path))
    layer.add("out/evil", b"x")
    unpack(rootfs, layer.close())
    assert not (tmp_path / "evil").exists()
    assert (directory / str(tmp_path).lstrip("/") / "evil").read_bytes() == b"x"


def test_limits_are_kept(tmp_path: Path, rootfs: _native.Rootfs) -> None:
    layer = Layer(tmp_path / "layer.tar")
    layer.add("a", b"x" * 50_000)
    layer.add("b")
    path = layer.close()
    with pytest.raises(_native.ArchiveError, match="limit of 40000 bytes"):
        unpack(rootfs, path, max_bytes=40_000)
    with pytest.raises(_native.ArchiveError, match="limit of 1 members"):
        unpack(rootfs, path, max_entries=1)


def test_a_truncated_layer_is_refused(tmp_path: Path, rootfs: _native.Rootfs) -> None:
    layer = Layer(tmp_path / "layer.tar")
    layer.add("a", b"x" * 5000)
    path = layer.close()
    os.truncate(path, 3000)
    with pytest.raises(_native.ArchiveError, match="cut off"):
        unpack(rootfs, path)


def test_a_closed_descriptor_is_an_ordinary_error(rootfs: _native.Rootfs) -> None:
    for number in (-1, 999_999):
        with pytest.raises(OSError, match="dup") as failed:
            _native.unpack_layer(rootfs, _native.Baseline.empty(rootfs), number)
        assert failed.value.errno == 9


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_e1_e3_owners_devices_and_capabilities_survive(tmp_path: Path, directory: Path, rootfs: _native.Rootfs) -> None:
    capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    layer = Layer(tmp_path / "layer.tar", format=tarfile.PAX_FORMAT)
    records = {"SCHILY.xattr.security.capability": capability.decode()}
    layer.add("ping", b"x", mode=0o755, uid=1000, gid=100, pax_headers=records)
    layer.add("su", b"x", mode=0o4755, uid=2_000_000_000, gid=5)
    layer.add("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    layer.add("link", kind=tarfile.SYMTYPE, linkname="x", uid=7, gid=8)
    unpack(rootfs, layer.close())
    ping = directory / "ping"
    assert os.getxattr(ping, "security.capability") == capability
    assert (ping.stat().st_uid, ping.stat().st_gid) == (1000, 100)
    assert (directory / "su").stat().st_mode & 0o7777 == 0o4755
    assert (directory / "su").stat().st_uid == 2_000_000_000
    assert (directory / "null").stat().st_rdev == os.makedev(1, 3)
    assert ((directory / "link").lstat().st_uid, (directory / "link").lstat().st_gid) == (7, 8)


def acl(*entries: tuple[int, int, int]) -> bytes:
    """As the kernel keeps it: version 2, then tag, permissions and id of each entry (acl(5))."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
FULL = acl((1, 7, NOBODY), (2, 7, 1234), (4, 5, NOBODY), (16, 7, NOBODY), (32, 0, NOBODY))
MINIMAL = acl((1, 7, NOBODY), (4, 0, NOBODY), (32, 0, NOBODY))


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
@pytest.mark.parametrize("passed_on", [None, FULL, MINIMAL], ids=["nothing", "an ACL", "an ACL that is but a mode"])
def test_nothing_is_inherited_from_the_directory_or_the_process(
    tmp_path: Path, directory: Path, rootfs: _native.Rootfs, passed_on: bytes | None
) -> None:
    os.chown(directory, 0, 4321)
    directory.chmod(0o2755)  # gives its group to what is made in it
    if passed_on is not None:
        os.setxattr(directory, "system.posix_acl_default", passed_on)
    layer = Layer(tmp_path / "layer.tar")
    for number, mode in enumerate((0o777, 0o666, 0o4755, 0o2755, 0o600, 0)):
        layer.add(f"file{number}", mode=mode)
        layer.add(f"directory{number}", kind=tarfile.DIRTYPE, mode=mode)
        layer.add(f"directory{number}/file", mode=mode)
        layer.add(f"fifo{number}", kind=tarfile.FIFOTYPE, mode=mode)
        layer.add(f"link{number}", kind=tarfile.SYMTYPE, linkname="x")
    path = layer.close()
    before = os.umask(0o077)
    try:
        baseline = _native.Baseline.empty(rootfs)
        with path.open("rb") as file:
            _native.unpack_layer(rootfs, baseline, file.fileno())
    finally:
        os.umask(before)
    with tarfile.open(path) as tar:
        for member in tar:
            found = os.lstat(directory / member.name)
            assert (found.st_uid, found.st_gid) == (0, 0), member.name
            if not member.issym():
                assert stat.S_IMODE(found.st_mode) == member.mode, member.name
            assert os.listxattr(directory / member.name, follow_symlinks=False) == [], member.name
    assert len(baseline.reconcile(rootfs, whole(), hash="all")) == 0


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_what_a_directory_of_the_layer_passes_on_is_taken_off_again(
    tmp_path: Path, directory: Path, rootfs: _native.Rootfs
) -> None:
    """The directory is known already when it gets its ACL."""
    layer = Layer(tmp_path / "layer.tar", format=tarfile.PAX_FORMAT)
    records = {"SCHILY.xattr.system.posix_acl_default": FULL.decode("utf-8", "surrogateescape")}
    layer.add("d", kind=tarfile.DIRTYPE)
    layer.add("d/before")
    layer.add("d", kind=tarfile.DIRTYPE, pax_headers=records)
    layer.add("d/after", mode=0o664)
    unpack(rootfs, layer.close())
    assert os.listxattr(directory / "d") == ["system.posix_acl_default"]
    assert os.listxattr(directory / "d/after") == []
    assert stat.S_IMODE((directory / "d/after").stat().st_mode) == 0o664


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_device_is_refused_by_name_where_none_may_be_made(tmp_path: Path, directory: Path) -> None:
    layer = Layer(tmp_path / "layer.tar")
    layer.add("dev/null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)
    script = """
from fswatch_builder import _native
rootfs = _native.Rootfs(os.fsencode(sys.argv[1]))
try:
    _native.unpack_layer(rootfs, _native.Baseline.empty(rootfs), os.open(sys.argv[2], os.O_RDONLY))
except _native.ArchiveError as error:
    print(json.dumps([os.fsdecode(error.path), error.reason]))
"""
    refused = run_confined(script, str(directory), str(layer.close()), capabilities=["chown", "dac_override"])
    assert refused == ["dev/null", "a device, which may not be made here: that needs CAP_MKNOD on the host"]


@pytest.mark.parametrize("half", [50 << 20, 16 << 10])
def test_a_sparse_file_keeps_its_holes(half: int, tmp_path: Path, directory: Path, rootfs: _native.Rootfs) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "sparse").open("wb") as file:
        file.seek(half)
        file.write(b"end")
        file.truncate(2 * half)
    for options in ("--format=gnu", "--format=posix"):
        packed = ["tar", "-C", str(source), options, "--sparse", "-cf", str(tmp_path / "layer.tar"), "sparse"]
        subprocess.run(packed, check=True)
        assert (tmp_path / "layer.tar").stat().st_size < 1 << 20
        unpack(rootfs, tmp_path / "layer.tar")
        found = (directory / "sparse").stat()
        assert (found.st_size, found.st_blocks * 512 <= half // 2) == (2 * half, True)
        assert hashlib.sha256((directory / "sparse").read_bytes()).digest() == (
            hashlib.sha256((source / "sparse").read_bytes()).digest()
        )
        assert rootfs.entry(b"sparse") is not None
        os.unlink(directory / "sparse")


def test_l18_limits_count_holes_and_members(tmp_path: Path, rootfs: _native.Rootfs) -> None:
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)
    packed = ["tar", "-C", str(tmp_path), "--format=gnu", "--sparse", "-cf", str(tmp_path / "layer.tar"), "sparse"]
    subprocess.run(packed, check=True)
    with pytest.raises(_native.ArchiveError, match="more than the limit of 1073741824 bytes"):
        unpack(rootfs, tmp_path / "layer.tar", max_bytes=1 << 30)
    layer = Layer(tmp_path / "many.tar")
    for number in range(10):
        layer.add(str(number))
    path = layer.close()
    with pytest.raises(_native.ArchiveError, match="more than the limit of 9 members"):
        unpack(rootfs, path, max_entries=9)
    with path.open("rb") as file, pytest.raises(_native.ArchiveError, match="more than the limit of 9 members"):
        _native.add_archive(rootfs, b"added", file.fileno(), max_entries=9)


def test_one_member_is_read_by_its_name(tmp_path: Path) -> None:
    layer = Layer(tmp_path / "image.tar")
    layer.add("blobs/sha256/x", b"y" * 700_000)
    layer.add("./manifest.json", b"[]")
    with layer.close().open("rb") as archive:
        assert _native.read_tar_member(archive.fileno(), b"manifest.json", 100) == b"[]"
        archive.seek(0)
        assert _native.read_tar_member(archive.fileno(), b"absent", 100) is None
        archive.seek(0)
        with pytest.raises(_native.ArchiveError, match="larger"):
            _native.read_tar_member(archive.fileno(), b"manifest.json", 1)
