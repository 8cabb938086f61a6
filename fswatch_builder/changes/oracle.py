"""A second opinion on what changed: slow, plain, and independent of the compiled core.

It reads both states whole, content included, and applies the definition of a change to them. It believes no evidence
(ctime, inode numbers across the two states), so it cannot be fooled by it. For tests and audits.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256

from msgspec import Struct

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "char-device",
    stat.S_IFBLK: "block-device",
}

#: Attributes that belong to the host and its drivers, never to an image.
_HOST_PREFIXES = (b"trusted.overlay.", b"user.overlay.", b"btrfs.")
_HOST_NAMES = (b"security.selinux", b"security.ima", b"security.evm", b"system.nfs4_acl")


#: Times beyond count as these, the years 1677 and 2262: an index has 64 bits for the nanoseconds. (Some file systems
#: keep later ones.)
_EARLIEST_NS, _LATEST_NS = -(2**63), 2**63 - 1


class OracleEntry(Struct, frozen=True):
    """What counts about one entry. ``inode`` tells, within a snapshot, which names share one; a directory has none."""

    kind: str
    mode: int
    uid: int
    gid: int
    rdev: int
    target: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]
    content: bytes | None
    mtime_ns: int
    inode: tuple[int, int] | None


class OracleChange(Struct, frozen=True, order=True):
    """One change, spelled as :class:`fswatch_builder._native.Change` spells it."""

    path: bytes
    kind: str
    why: frozenset[str]


#: A state of a root file system by relative path; the root is ``b""``.
Snapshot = Mapping[bytes, OracleEntry]


def snapshot(root: bytes) -> dict[bytes, OracleEntry]:
    """Reads a whole root file system. Sockets are left out: an image cannot hold one. What fails is an ``OSError``."""
    return dict(entries(root))


def entries(root: bytes) -> Iterator[tuple[bytes, OracleEntry]]:
    """The same, entry by entry, each after the directory that it lies in."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        entry = _read(_name_below(fd, b"."))
        if entry is not None:
            yield b"", entry
        yield from _entries_below(fd)
    finally:
        os.close(fd)


def _entries_below(root: int) -> Iterator[tuple[bytes, OracleEntry]]:
    """Holds one descriptor, however deep the tree: nothing moves meanwhile, so ``..`` leads back."""
    directory, path = os.dup(root), b""
    unread = [os.listdir(directory)]
    try:
        while unread:
            if not unread[-1]:
                unread.pop()
                if unread:
                    directory, path = _changed(directory, b".."), path.rpartition(b"/")[0]
                continue
            name = os.fsencode(unread[-1].pop())
            entry = _read(_name_below(directory, name))
            if entry is None:
                continue
            below = path + b"/" + name if path else name
            yield below, entry
            if entry.kind == "directory":
                directory, path = _changed(directory, name), below
                unread.append(os.listdir(directory))
    finally:
        os.close(directory)


def _changed(directory: int, name: bytes) -> int:
    """Opens a directory from another, which is closed then."""
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    os.close(directory)
    return opened


def _name_below(directory: int, name: bytes) -> bytes:
    """A path to an entry that is short however deep the directory lies."""
    return b"/proc/self/fd/%d/%s" % (directory, name)


def _read(full: bytes) -> OracleEntry | None:
    status = os.lstat(full)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    is_device = kind in {"char-device", "block-device"}
    return OracleEntry(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        rdev=status.st_rdev if is_device else 0,
        target=os.readlink(full) if kind == "symlink" else b"",
        xattrs=_xattrs(full),
        content=_digest(full) if kind == "file" else None,
        mtime_ns=0 if _is_stand_in(status) else min(max(status.st_mtime_ns, _EARLIEST_NS), _LATEST_NS),
        inode=None if kind == "directory" else (status.st_dev, status.st_ino),
    )


def _is_stand_in(status: os.stat_result) -> bool:
    """Whether it stands in for a subvolume that a snapshot of btrfs lacks: its time is that of the look.

    It has no time of its own, so both are one. (A file system that shows such a directory under FUSE is misjudged: of
    that one, the time is no difference here.)
    """
    is_directory = stat.S_ISDIR(status.st_mode)
    alone = (status.st_ino, status.st_nlink, status.st_size) == (2, 1, 0)
    return is_directory and alone and status.st_mtime_ns == status.st_ctime_ns


def _xattrs(full: bytes) -> tuple[tuple[bytes, bytes], ...]:
    names = sorted(os.fsencode(name) for name in os.listxattr(full, follow_symlinks=False))
    kept = (name for name in names if not name.startswith(_HOST_PREFIXES) and name not in _HOST_NAMES)
    return tuple((name, os.getxattr(full, name, follow_symlinks=False)) for name in kept)


def _digest(full: bytes) -> bytes:
    digest = sha256()
    with open(full, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


def compare(before: Snapshot, after: Snapshot, listed: Collection[bytes] = ()) -> list[OracleChange]:
    """The changes between two states, sorted by path.

    ``listed`` paths (of a COPY, ADD or WORKDIR) count as changed, with all names of their inodes, even if nothing about
    them differs.
    """
    why = {path: _differs(path, before[path], after[path]) for path in before.keys() & after.keys()}
    whole = _listed_whole(after, frozenset(listed) - {b""})
    why.update(_links(before, after, why, whole))
    why.update((path, frozenset({"listed"})) for path in whole & why.keys() if not why[path])
    changes = []
    for path in before.keys() | after.keys():
        if path not in after:
            if _is_topmost(path, after):
                changes.append(OracleChange(path, "deleted", frozenset()))
        elif path not in before:
            changes.append(OracleChange(path, "added", frozenset()))
        elif before[path].kind != after[path].kind:
            changes.append(OracleChange(path, "replaced", frozenset()))
        elif why[path]:
            changes.append(OracleChange(path, "modified", why[path]))
    # Part by part, as a layer is ordered: a directory comes right before what is below it.
    return sorted(changes, key=lambda change: change.path.split(b"/"))


def _is_topmost(path: bytes, after: Snapshot) -> bool:
    """Whether a missing path needs a whiteout: its directory is still one (else the directory's own change says it)."""
    parent = after.get(os.path.dirname(path))
    return parent is not None and parent.kind == "directory"


def _differs(path: bytes, before: OracleEntry, after: OracleEntry) -> frozenset[str]:
    if before.kind != after.kind:
        return frozenset()
    counts = ["mode", "uid", "gid", "xattrs"]
    if path != b"":
        counts += ["rdev", "target", "content"]
    why = {name for name in counts if getattr(before, name) != getattr(after, name)}
    if path != b"" and before.mtime_ns != after.mtime_ns:
        why.add("mtime")
    return frozenset(why)


def _groups(state: Snapshot) -> list[frozenset[bytes]]:
    """The names of every inode that is no directory, in the order of first names."""
    names: defaultdict[tuple[int, int], set[bytes]] = defaultdict(set)
    for path, entry in state.items():
        if entry.inode is not None:
            names[entry.inode].add(path)
    return sorted((frozenset(group) for group in names.values()), key=_first)


def _first(group: frozenset[bytes]) -> tuple[bytes, ...]:
    # By path, part by part: the order of a layer.
    return min(tuple(path.split(b"/")) for path in group)


def _listed_whole(after: Snapshot, listed: frozenset[bytes]) -> frozenset[bytes]:
    """``listed``, and the names that share an inode with one of them."""
    if not listed:
        return listed
    return listed.union(*(group for group in _groups(after) if group & listed))


def _links(
    before: Snapshot, after: Snapshot, why: Mapping[bytes, frozenset[str]], listed: frozenset[bytes]
) -> dict[bytes, frozenset[str]]:
    """Names whose reasons the hard-link rules extend.

    A group of names that gained one is listed whole. Of a group that is now several, one that neither gained nor
    changed nor is ``listed`` anyway stays unlisted, the first by first name; the others are listed whole. A group that
    only lost names is left alone.
    """

    def is_same(path: bytes) -> bool:
        return path in before and before[path].kind == after[path].kind

    origin = {path: group for group in _groups(before) for path in group}
    groups = _groups(after)
    origins = {group: {origin[path] if is_same(path) else None for path in group} for group in groups}
    gained = {group for group in groups if len(origins[group]) > 1 or (None in origins[group] and len(group) > 1)}
    parts: defaultdict[frozenset[bytes], list[frozenset[bytes]]] = defaultdict(list)
    for group in groups:
        for whence in origins[group]:
            if whence is not None:
                parts[whence].append(group)
    apart: set[frozenset[bytes]] = set()
    for pieces in parts.values():
        if len(pieces) > 1:
            intact = [
                group
                for group in pieces
                if group not in gained and not group & listed and not any(why[path] for path in group)
            ]
            apart.update(group for group in pieces if group not in intact[:1])
    return {
        path: why[path] | {"links"}
        for group in groups
        if group in gained or group in apart
        for path in group
        if is_same(path)
    }
