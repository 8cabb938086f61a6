"""Who a name means, by the passwd and group files of the root file system, never by the host's.

The files belong to the image, so they are read inside the root, must be regular, and have a size limit (CVE-2024-9676).
"""

from collections.abc import Iterator

from msgspec import Struct

from fswatch_builder._native import RefusedError, Rootfs
from fswatch_builder.errors import BaseImageError, DockerfileError

LARGEST_FILE = 8 << 20
"""Bytes of a passwd or group file that are read. A hundred thousand users fit."""

LARGEST_ID = 2**31 - 1
"""Docker's limit. 4294967296 must not wrap round to root (CVE-2024-40635)."""


class Identity(Struct, frozen=True):
    """A user as the kernel and the environment know it."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary groups, the primary one included (CVE-2022-2990)."""
    home: str


class _User(Struct, frozen=True):
    name: str
    uid: int
    gid: int
    home: str


class _Group(Struct, frozen=True):
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(rootfs: Rootfs, text: str) -> Identity:
    """What ``USER name[:group]`` means for a RUN; empty is root.

    A user alone brings its primary and supplementary groups; with a group, that is the only one. A number need not be
    in the files: its group is 0 then, its home ``/``. A name that is not there is a `DockerfileError`, a file that
    cannot be used a `BaseImageError`.
    """
    name, colon, group = text.partition(":")
    user = _find_user(rootfs, name or "0")
    uid = user.uid if user else _number(name or "0", "user", "/etc/passwd")
    home = user.home if user and user.home else "/"
    if colon and group:
        gid = _group_id(rootfs, group)
        return Identity(uid, gid, (gid,), home)
    gid = user.gid if user else 0
    # Docker looks for supplementary groups only if a user was named.
    member_of = [entry.gid for entry in _groups(rootfs) if user.name in entry.members] if user and name else []
    return Identity(uid, gid, tuple(dict.fromkeys([gid, *member_of])), home)


def resolve_owner(rootfs: Rootfs, text: str) -> tuple[int, int]:
    """User and group ID that ``--chown=user[:group]`` means.

    A name alone brings its primary group; a number alone is the group's number too. Errors as for `resolve_user`.
    """
    name, colon, group = text.partition(":")
    if colon and group:
        return (_user_id(rootfs, name) if name else 0), _group_id(rootfs, group)
    if _is_number(name):
        uid = _number(name, "user", "/etc/passwd")
        return uid, uid
    user = _find_user(rootfs, name)
    if user is None:
        raise _unknown("user", name, "/etc/passwd")
    return user.uid, user.gid


def _user_id(rootfs: Rootfs, name: str) -> int:
    if _is_number(name):
        return _number(name, "user", "/etc/passwd")
    user = _find_user(rootfs, name)
    if user is None:
        raise _unknown("user", name, "/etc/passwd")
    return user.uid


def _group_id(rootfs: Rootfs, name: str) -> int:
    if _is_number(name):
        return _number(name, "group", "/etc/group")
    for group in _groups(rootfs):
        if group.name == name:
            return group.gid
    raise _unknown("group", name, "/etc/group")


def _find_user(rootfs: Rootfs, name: str) -> _User | None:
    uid = int(name) if _is_id(name) else None
    for user in _users(rootfs):
        if user.name == name or user.uid == uid:
            return user
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(text: str, what: str, file: str) -> int:
    if not _is_number(text):
        raise _unknown(what, text, file)
    # Python refuses to convert thousands of digits, and no ID has more than ten.
    if len(text.lstrip("0")) > 10 or int(text) > LARGEST_ID:
        raise DockerfileError(f"{what} ID {text[:20]} is out of range", hint=f"IDs go from 0 to {LARGEST_ID}")
    return int(text)


def _unknown(what: str, name: str, file: str) -> DockerfileError:
    return DockerfileError(
        f"unable to find {what} {name!r}: not in {file} of the root file system",
        hint="create it in an earlier RUN, or give its number",
    )


def _users(rootfs: Rootfs) -> Iterator[_User]:
    for fields in _records(rootfs, b"etc/passwd"):
        if len(fields) >= 4 and _is_id(fields[2]) and _is_id(fields[3]):
            home = fields[5] if len(fields) > 5 else ""
            yield _User(fields[0], int(fields[2]), int(fields[3]), home)


def _groups(rootfs: Rootfs) -> Iterator[_Group]:
    for fields in _records(rootfs, b"etc/group"):
        if len(fields) >= 3 and _is_id(fields[2]):
            members = fields[3] if len(fields) > 3 else ""
            yield _Group(fields[0], int(fields[2]), tuple(members.split(",")))


def _is_id(field: str) -> bool:
    return _is_number(field) and len(field) <= 10 and int(field) <= LARGEST_ID


def _records(rootfs: Rootfs, path: bytes) -> Iterator[list[str]]:
    try:
        content = rootfs.read_file(path, LARGEST_FILE)
    except RefusedError as error:
        raise BaseImageError(f"cannot look up users: /{path.decode()} is {error.reason}") from error
    except OSError as error:
        raise BaseImageError(f"cannot look up users in /{path.decode()}: {error.strerror}") from error
    for line in (content or b"").decode("utf-8", "surrogateescape").split("\n"):
        if line and not line.startswith("#"):
            yield line.strip().split(":")
