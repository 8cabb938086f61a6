"""Changes of files, for programs: as members of a JSON document. docs/cli.md describes them."""

from base64 import b64encode
from collections.abc import Mapping

from fswatch_builder._native import Change, Entry


def text(raw: bytes) -> str:
    r"""Any bytes as text, lossless: UTF-8 stays as it is, each byte that is none becomes ``\xNN``, a backslash two."""
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def change_member(change: Change) -> Mapping[str, object]:
    """One change."""
    return {
        "path": text(change.path),
        "kind": change.kind,
        "why": sorted(change.why),
        "before": None if change.before is None else _entry(change.before),
        "after": None if change.after is None else _entry(change.after),
    }


def _entry(entry: Entry) -> Mapping[str, object]:
    told: dict[str, object] = {
        "kind": entry.kind,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime": _time(entry.mtime_ns),
        "links": entry.nlink,
    }
    match entry.kind:
        case "file":
            told["size"] = entry.size
            told["sha256"] = None if entry.sha256 is None else entry.sha256.hex()
        case "symlink":
            told["target"] = text(entry.target)
        case "char-device" | "block-device":
            told["device"] = entry.rdev
    if entry.xattrs:
        told["xattrs"] = {text(name): b64encode(value).decode() for name, value in entry.xattrs}
    return told


def _time(time_ns: int) -> str:
    """RFC 3339 in UTC to the nanosecond: as a number it would not survive a reader that has doubles only."""
    from datetime import UTC, datetime, timedelta

    seconds, fraction = divmod(time_ns, 10**9)
    whole = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
