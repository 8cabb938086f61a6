"""What a tracked command did, for programs: one JSON document. docs/cli.md describes it; VERSION counts its meaning."""

import json
from base64 import b64encode
from collections.abc import Mapping

from fswatch_builder._native import Change, Entry
from fswatch_builder.observing.track import Tracked

VERSION = 1


def document(tracked: Tracked, *, audited: bool) -> str:
    """The document, with a line end."""
    tracker = tracked.selection.tracker
    told = {
        "version": VERSION,
        "directory": text(tracked.recording.directory),
        "command": [text(word) for word in tracked.argv],
        "exit_status": tracked.exit_status,
        "seconds": round(tracked.seconds, 6),
        "tracker": tracker.name,
        "tracker_reasons": list(tracked.selection.why),
        "hash": tracked.recording.hash_mode,
        "audited": audited,
        "entries": tracked.recording.entries,
        "looked_at": tracked.looked_at,
        "hints": [{"path": text(path), "scope": scope} for path, scope in tracked.hints.hints],
        "losses": [{"reason": reason, "path": text(path)} for reason, path in tracked.losses],
        "notes": list(tracked.notes),
        "sockets": [text(path) for path in tracked.sockets],
        "changes": [_change(change) for change in tracked.changes.changes],
    }
    return json.dumps(told, indent=2) + "\n"


def text(raw: bytes) -> str:
    r"""Any bytes as text, lossless: UTF-8 stays as it is, each byte that is none becomes ``\xNN``, a backslash two."""
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def _change(change: Change) -> Mapping[str, object]:
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
