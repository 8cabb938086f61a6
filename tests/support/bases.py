"""Bases with something of all that is hard to keep exact."""

import io
import os
import tarfile
from pathlib import Path

#: cap_net_raw=ep, as setcap(8) writes it (capabilities(7), VFS_CAP_REVISION_2).
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
ODD = ("a:b", "a,b", "a\\b", "a b", "a\nb", "upperdir=x", "-o", "\udcff")


def hard_base(busybox: Path, target: Path, *, null_device: bool = False) -> Path:
    """A root file system as a tar, with: hard links, file capabilities, attributes (of overlayfs' own too), times of
    fractions of a second and before 1970, devices, a FIFO, odd names, a name of 255 bytes, empty and deep directories.
    """
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(busybox, ".", filter=_owned_by_root)
        _file(tar, "usr/bin/ping", b"ping", mode=0o755, attributes={"security.capability": CAPABILITY})
        _file(tar, "usr/bin/su", b"su", mode=0o4755)
        _file(tar, "l/a", b"three names\n", mtime=1_000_000_000.123456789)
        for name in ("l/b", "l/deep/c"):
            _link(tar, name, "l/a")
        _file(tar, "l/pair", b"two names\n", attributes={"user.note": b"hello"})
        _link(tar, "pair", "l/pair")
        _file(tar, "old", b"old\n", mtime=-1.5)
        _file(tar, "forged", b"", attributes={"trusted.overlay.whiteout": b"y", "user.overlay.whiteout": b"y"})
        _other(tar, "redirected", tarfile.DIRTYPE, attributes={"trusted.overlay.redirect": b"/etc"})
        _file(tar, "redirected/own", b"own\n")
        _other(tar, "opaque", tarfile.DIRTYPE, attributes={"trusted.overlay.opaque": b"x"})
        _file(tar, "opaque/hidden", b"", attributes={"trusted.overlay.whiteout": b"y"})
        _other(tar, "acl", tarfile.DIRTYPE, attributes={"trusted.mine": b"1"}, mode=0o2750)
        _other(tar, "dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3)
        _other(tar, "dev/loop", tarfile.BLKTYPE, devmajor=7, devminor=0)
        _other(tar, "pipe", tarfile.FIFOTYPE)
        for name in ODD:
            _file(tar, f"odd/{name}", b"odd\n")
        _file(tar, "odd/" + "n" * 255, b"long\n")
        _file(tar, "/".join(["d"] * 60) + "/leaf", b"deep\n")
        _other(tar, "empty", tarfile.DIRTYPE)
        if null_device:
            _other(tar, "gone", tarfile.CHRTYPE, devmajor=0, devminor=0)
    return target


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = int(member.mtime)
    return member


def _member(name: str, mode: int, mtime: float, attributes: dict[str, bytes]) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode = mode
    member.mtime = mtime  # tarfile writes fractions as a PAX record
    member.pax_headers = {f"SCHILY.xattr.{key}": os.fsdecode(value) for key, value in attributes.items()}
    return member


def _file(
    tar: tarfile.TarFile,
    name: str,
    content: bytes,
    *,
    mode: int = 0o644,
    mtime: float = 1_000_000_000,
    attributes: dict[str, bytes] | None = None,
) -> None:
    member = _member(name, mode, mtime, attributes or {})
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    member = _member(name, 0o644, 1_000_000_000, {})
    member.type, member.linkname = tarfile.LNKTYPE, target
    tar.addfile(member)


def _other(
    tar: tarfile.TarFile,
    name: str,
    kind: bytes,
    *,
    mode: int = 0o755,
    attributes: dict[str, bytes] | None = None,
    devmajor: int = 0,
    devminor: int = 0,
) -> None:
    member = _member(name, mode, 1_000_000_000, attributes or {})
    member.type, member.devmajor, member.devminor = kind, devmajor, devminor
    tar.addfile(member)
