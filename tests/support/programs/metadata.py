"""Every way to change an entry and not what is in it."""

import contextlib
import fcntl
import os
import stat
import struct

from tests.support.programs.actor import Actor, Operation, action, opened

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS: ioctl_iflags(2)
_IMMUTABLE, _NO_DUMP, _NO_ATIME = 0x10, 0x40, 0x80


def _target(actor: Actor, take: Operation) -> str:
    """Any entry; a directory in half of all cases, the tree itself at times."""
    return actor.directory(take.one) if take.other % 2 else actor.entry(take.one)


def _is_symlink(path: str) -> bool:
    return stat.S_ISLNK(os.lstat(path).st_mode)


@action
def chmod(actor: Actor, take: Operation) -> None:
    path = _target(actor, take)
    if _is_symlink(path):
        return
    special = (0, stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX)[take.other % 4]
    os.chmod(path, special | 0o700 | take.number)
    actor.say(f"chmod {special | 0o700 | take.number:o} {path!r}")


@action
def chmod_and_back(actor: Actor, take: Operation) -> None:
    path = _target(actor, take)
    if _is_symlink(path):
        return
    mode = stat.S_IMODE(os.lstat(path).st_mode)
    os.chmod(path, mode ^ 0o777)
    os.chmod(path, mode)
    actor.say(f"chmod {mode ^ 0o777:o} {path!r}; chmod {mode:o} {path!r}")


@action
def chown(actor: Actor, take: Operation) -> None:
    path = _target(actor, take)
    os.chown(path, take.number, take.other % 3, follow_symlinks=False)
    actor.say(f"chown -h {take.number}:{take.other % 3} {path!r}")


@action
def touch(actor: Actor, take: Operation) -> None:
    path = _target(actor, take)
    nanoseconds = take.other % 2 + take.number * 10**9
    os.utime(path, ns=(0, nanoseconds), follow_symlinks=False)
    actor.say(f"touch -h {path!r} mtime_ns={nanoseconds}")


@action
def touch_with_its_own_time(actor: Actor, take: Operation) -> None:
    path = _target(actor, take)
    times = os.lstat(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)
    actor.say(f"touch -h -r {path!r} {path!r}")


@action
def touch_as_another(actor: Actor, take: Operation) -> None:
    path, reference = actor.entry(take.one), actor.entry(take.other)
    times = os.lstat(reference)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)
    actor.say(f"touch -h -r {reference!r} {path!r}")


@action
def set_attribute(actor: Actor, take: Operation) -> None:
    path, name = _target(actor, take), ("user.t", "user.long", "trusted.t", "user.t")[take.number % 4]
    os.setxattr(path, name, bytes([take.number]) * (1 + take.number * 30), follow_symlinks=False)
    actor.say(f"setfattr {name}={take.number} {path!r}")


@action
def remove_attribute(actor: Actor, take: Operation) -> None:
    having = [path for path in [actor.inside, *actor.look().entries] if os.listxattr(path, follow_symlinks=False)]
    if having:
        path = having[take.one % len(having)]
        name = min(os.listxattr(path, follow_symlinks=False))
        os.removexattr(path, name, follow_symlinks=False)
        actor.say(f"setfattr -x {name} {path!r}")


@action
def set_access_list(actor: Actor, take: Operation) -> None:
    path = _target(actor, take)
    is_default = stat.S_ISDIR(os.lstat(path).st_mode) and take.other % 4 > 1
    nobody = 0xFFFFFFFF
    # Version 2; the owner, a user, the group, the mask, all others: linux/posix_acl_xattr.h.
    entries = [(1, 7, nobody), (2, take.number, 1000), (4, 5, nobody), (16, 7, nobody), (32, take.other % 8, nobody)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(path, f"system.posix_acl_{'default' if is_default else 'access'}", value, follow_symlinks=False)
    actor.say(f"setfacl {'-d ' if is_default else ''}-m u:1000:{take.number} {path!r}")


@action
def set_capability(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    # Revision 2, effective: linux/capability.h.
    value = struct.pack("<IIIII", 0x02000001, 1 << take.number, 0, 0, 0)
    os.setxattr(path, "security.capability", value, follow_symlinks=False)
    actor.say(f"setcap {take.number} {path!r}")


def _flags(file: int) -> int:
    return int(struct.unpack("<I", fcntl.ioctl(file, _GET_FLAGS, bytes(4)))[0])


def _set_flags(file: int, flags: int) -> None:
    fcntl.ioctl(file, _SET_FLAGS, struct.pack("<I", flags))


@action
def change_flags(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one) if take.other % 2 else actor.directory(take.one)
    with opened(path, os.O_RDONLY) as file:
        flags = _flags(file) ^ (_NO_DUMP if take.number % 2 else _NO_ATIME)
        _set_flags(file, flags)
    actor.say(f"chattr ={flags:x} {path!r}")


@action
def make_immutable_for_a_moment(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_RDONLY) as file:
        flags = _flags(file)
        _set_flags(file, flags | _IMMUTABLE)
        with contextlib.suppress(PermissionError):
            os.truncate(path, 0)
        _set_flags(file, flags)
    actor.say(f"chattr +i {path!r}; truncate -s 0 {path!r} (refused); chattr -i {path!r}")
