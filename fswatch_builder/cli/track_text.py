"""What a tracked command did, for people: a line for each change, sorted, with what differs in words."""

import os
from collections.abc import Iterator

from fswatch_builder.cli.attribution_text import notes as attribution_notes
from fswatch_builder.cli.attribution_text import who
from fswatch_builder.cli.change_text import change_lines, consequences, totals
from fswatch_builder.cli.loss_text import loss_lines
from fswatch_builder.cli.printable import printable_name
from fswatch_builder.cli.render import counted, seconds_text
from fswatch_builder.observing.track import Tracked


def report_lines(tracked: Tracked, *, everything: bool, colour: bool) -> Iterator[str]:
    """The report. A directory whose time alone changed, because of an entry that is listed, is counted and not shown,
    unless ``everything`` is.
    """
    changes = tracked.changes.changes
    quiet = set() if everything else consequences(changes)
    where = printable_name(os.fsdecode(tracked.recording.directory))
    if changes:
        yield f"changed below {where}:"
    attribution = tracked.attribution
    remarks = {} if attribution is None else {change.path: who(attribution, change.path) for change in changes}
    yield from (f"  {line}" for line in change_lines(changes, quiet, colour=colour, remarks=remarks))
    yield from (f"note: {printable_name(note)}" for note in _notes(tracked, len(quiet)))
    kinds = [change.kind for change in changes if change.path not in quiet]
    yield totals(kinds) if kinds else f"nothing changed below {where}"
    yield _cost(tracked)


def _notes(tracked: Tracked, quiet: int) -> Iterator[str]:
    if quiet:
        directories = counted(quiet, "directory", "directories")
        yield f"not shown: {directories} whose time alone changed, by what is listed above (--all)"
    if tracked.attribution is not None:
        yield from attribution_notes(tracked.attribution)
    yield from tracked.notes
    for path in tracked.sockets:
        yield f"{os.fsdecode(path)} is a new socket; sockets are not compared"
    mounts = {mount.path for mount in tracked.recording.mounts}
    # That a mount was looked at is said already.
    losses = [(reason, path) for reason, path in tracked.losses if reason != "other-device" or path not in mounts]
    yield from loss_lines(losses, tracked.selection.tracker.name)


def _cost(tracked: Tracked) -> str:
    return (
        f"exit status {tracked.exit_status} after {seconds_text(tracked.seconds)}; tracker "
        f"{tracked.selection.tracker.name}, {counted(len(tracked.hints), 'hint')}, "
        f"{counted(len(tracked.losses), 'loss', 'losses')}, {counted(tracked.looked_at, 'look')} in a tree of "
        f"{counted(tracked.recording.entries, 'entry', 'entries')}"
    )
