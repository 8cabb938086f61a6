"""Losses in words: what the tracker lost sight of and why, what was looked at instead, and what would spare it."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from fswatch_builder.tracking.limits import read_limits

#: Places that a line names; of more it gives the number.
_NAMED = 3


def loss_lines(losses: Sequence[tuple[str, bytes]], tracker: str | None) -> Iterator[str]:
    """A line for each reason, in the order in which the reasons come up. ``tracker`` is the one that was in force."""
    by_reason: dict[str, list[bytes]] = defaultdict(list)
    for reason, path in losses:
        by_reason[reason].append(path)
    for reason, paths in by_reason.items():
        yield f"{reason}: {_WORDS[reason](_places(paths), tracker)}"


def _places(paths: Sequence[bytes]) -> str:
    """``everything``, or ``all below usr, var``."""
    if b"" in paths:
        return "everything"
    named = ", ".join(os.fsdecode(path) for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return f"all below {named}{more}"


def _queue_overflow(places: str, tracker: str | None) -> str:
    setting = f"fs.{tracker}.max_queued_events"
    return (
        f"changes came faster than they were read, and the kernel dropped events; {places} was looked at instead. "
        f"A longer queue spares that: {setting}{_present(setting)}"
    )


def _watch_limit(places: str, _tracker: str | None) -> str:
    limit = read_limits().watches
    return (
        f"no inotify watch was left; {places} was looked at instead, as it will be each time. More watches spare that: "
        f"fs.inotify.max_user_watches (now {limit:,}, and an eighth of it is left to your other programs)"
    )


def _shared_watch(places: str, _tracker: str | None) -> str:
    return (
        f"a directory that is mounted at several places has one inotify watch, which tells one of them; {places} was "
        "looked at for the other. --tracker fanotify needs no watch"
    )


def _unmounted(places: str, _tracker: str | None) -> str:
    return f"a file system was unmounted, and its watches ended; {places} was looked at instead"


def _unknown_watch(places: str, _tracker: str | None) -> str:
    return (
        f"an event came from a watch that nobody set; {places} was looked at instead. "
        "That costs time alone, but please report it if it comes up again"
    )


def _missing_links(places: str, _tracker: str | None) -> str:
    return f"a changed file has more hard links than were found; {places} was looked at for the others"


def _other_device(places: str, _tracker: str | None) -> str:
    return (
        "what lies on another file system or subvolume is not heard of by the fanotify mark; "
        f"{places} was looked at, as it will be each time. --tracker inotify hears of it"
    )


def _flood(places: str, _tracker: str | None) -> str:
    return f"more was done than is kept in mind one by one; {places} was looked at instead"


def _unreadable_event(places: str, _tracker: str | None) -> str:
    return (
        f"the kernel did not tell what an event was about; {places} was looked at instead. "
        "Please report it, with the kind of file system, if it comes up again"
    )


def _vanished_links(places: str, _tracker: str | None) -> str:
    return (
        "hard links were made that are gone again, or an io_uring or a mount may have made some, and a write through "
        f"such a link has no event here; {places} was looked at instead. --tracker fanotify hears of it"
    )


def _unseen_links(places: str, _tracker: str | None) -> str:
    return (
        "nobody could count the hard links that were made, and a write through one that is gone has no event here; "
        f"{places} was looked at instead. As root they are counted, and --tracker fanotify needs no count"
    )


def _nested_overlay(places: str, _tracker: str | None) -> str:
    return (
        "an overlay was mounted over directories of the tree, and what is written through it has no event; "
        f"{places} was looked at instead"
    )


def _write_storm(places: str, _tracker: str | None) -> str:
    return (
        "files were written to so often that to be told of each write would have slowed the command down by more than "
        f"a look at the tree takes; {places} was looked at instead. Nothing is wrong: it is the cheaper way"
    )


def _present(setting: str) -> str:
    """``(now 16,384)``; nothing where it cannot be read."""
    try:
        with open(os.path.join("/proc/sys", setting.replace(".", "/")), "rb") as file:
            return f" (now {int(file.read()):,})"
    except (OSError, ValueError):
        return ""


_WORDS: Mapping[str, Callable[[str, str | None], str]] = {
    "queue-overflow": _queue_overflow,
    "watch-limit": _watch_limit,
    "shared-watch": _shared_watch,
    "unmounted": _unmounted,
    "unknown-watch": _unknown_watch,
    "missing-links": _missing_links,
    "other-device": _other_device,
    "flood": _flood,
    "unreadable-event": _unreadable_event,
    "vanished-links": _vanished_links,
    "unseen-links": _unseen_links,
    "nested-overlay": _nested_overlay,
    "write-storm": _write_storm,
}
"""A reason that is missing here fails a test, not a user."""
