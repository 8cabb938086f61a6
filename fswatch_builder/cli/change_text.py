"""Changes of files, for people: a line for each, with what differs in words."""

import os
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from fswatch_builder._native import Change, Entry
from fswatch_builder.cli.printable import printable_name
from fswatch_builder.cli.render import counted
from fswatch_builder.model.quantity import size_text

_MARKERS = {"added": "A", "modified": "M", "replaced": "R", "deleted": "D"}
_COLOURS = {"added": "32", "modified": "33", "replaced": "35", "deleted": "31"}

#: Columns of a path; a longer one pushes what differs to the right.
_WIDEST = 60


def change_lines(
    changes: Sequence[Change],
    quiet: Collection[bytes],
    *,
    colour: bool,
    top: str = "",
    remarks: Mapping[bytes, str] = MappingProxyType({}),
) -> Iterator[str]:
    """A line for each change but those at the paths in ``quiet``, columns aligned. ``top`` comes before each path, a
    remark on it below.
    """
    shown = [(change, top + _path(change)) for change in changes if change.path not in quiet]
    width = min(_WIDEST, max((len(path) for _, path in shown), default=0))
    for change, path in shown:
        line = f"{_MARKERS[change.kind]}  {path:<{width}}"
        if colour:
            line = f"\x1b[{_COLOURS[change.kind]}m{line}\x1b[0m"
        yield f"{line}  {printable_name(_details(change))}".rstrip()
        if change.path in remarks:
            yield f"     {remarks[change.path]}"


def consequences(changes: Sequence[Change]) -> set[bytes]:
    """Directories of which nothing differs but the time, as something came, went or was replaced in them."""
    parents = {_parent(change.path) for change in changes if change.kind != "modified"}
    return {
        change.path
        for change in changes
        if change.why == {"mtime"}
        and change.after is not None
        and change.after.kind == "directory"
        and change.path in parents
    }


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _path(change: Change) -> str:
    entry = change.after or change.before
    slash = "/" if entry is not None and entry.kind == "directory" else ""
    return printable_name(os.fsdecode(change.path)) + slash if change.path else "./"


def _details(change: Change) -> str:
    before, after = change.before, change.after
    if before is None or after is None:
        present = after or before
        if present is None:
            return ""
        return _entry_text(present) if change.kind == "added" else _kind_text(present)
    if change.kind == "replaced":
        return f"{_kind_text(before)} -> {_entry_text(after)}"
    return ", ".join(_difference(reason, before, after) for reason in _reasons(change))


#: In the order in which they are told.
_REASONS = ("content", "target", "rdev", "mode", "uid", "gid", "xattrs", "links", "mtime")


def _reasons(change: Change) -> list[str]:
    """A new time is no news where the content or the target is new too."""
    reasons = [reason for reason in _REASONS if reason in change.why]
    return [reason for reason in reasons if reason != "mtime" or not {"content", "target"} & change.why]


def _difference(reason: str, before: Entry, after: Entry) -> str:
    match reason:
        case "content" if before.size == after.size:
            return f"content, {size_text(after.size)} as before"
        case "content":
            return f"content {size_text(before.size)} -> {size_text(after.size)}"
        case "target":
            return f"-> {os.fsdecode(after.target)}, was {os.fsdecode(before.target)}"
        case "rdev":
            return f"device {_device_text(before)} -> {_device_text(after)}"
        case "mode":
            return f"mode {before.mode:04o} -> {after.mode:04o}"
        case "uid":
            return f"owner {before.uid} -> {after.uid}"
        case "gid":
            return f"group {before.gid} -> {after.gid}"
        case "xattrs":
            return f"xattrs {_xattrs_text(dict(before.xattrs), dict(after.xattrs))}"
        case "links" if before.nlink != after.nlink:
            return f"hard links {before.nlink} -> {after.nlink}"
        case "links":
            return "hard links to other names"
        case _:
            return f"mtime {_time_text(before.mtime_ns)} -> {_time_text(after.mtime_ns)}"


def _entry_text(entry: Entry) -> str:
    match entry.kind:
        case "file":
            links = f", {counted(entry.nlink, 'link')}" if entry.nlink > 1 else ""
            return f"{size_text(entry.size)} {entry.mode:04o}{links}"
        case "symlink":
            return f"-> {os.fsdecode(entry.target)}"
        case "char-device" | "block-device":
            return f"{_kind_text(entry)} {_device_text(entry)} {entry.mode:04o}"
        case _:
            return f"{_kind_text(entry)} {entry.mode:04o}"


def _kind_text(entry: Entry) -> str:
    return {"symlink": "symbolic link", "fifo": "FIFO"}.get(entry.kind, entry.kind.replace("-", " "))


def _device_text(entry: Entry) -> str:
    return f"{os.major(entry.rdev)}:{os.minor(entry.rdev)}"


def _xattrs_text(before: dict[bytes, bytes], after: dict[bytes, bytes]) -> str:
    """``+name`` for one that came, ``-name`` for one that went, ``name`` for a new value."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    signs = ("+" if name not in before else "" if name in after else "-" for name in names)
    return " ".join(sign + os.fsdecode(name) for sign, name in zip(signs, names, strict=True))


def _time_text(time_ns: int) -> str:
    """In local time; to the second, the fraction where it is not zero to the millisecond."""
    seconds, fraction = divmod(time_ns, 10**9)
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) + f".{fraction // 10**6:03d}"


def totals(kinds: Sequence[str]) -> str:
    """``2 added, 1 modified, 0 deleted``."""
    numbers = {kind: 0 for kind in _MARKERS if kind != "replaced"} | Counter(kinds)
    return ", ".join(f"{numbers[kind]:,} {kind}" for kind in _MARKERS if kind in numbers)
