"""What a tracked command did, for programs: one JSON document. docs/cli.md describes it; VERSION counts its meaning."""

import json

from fswatch_builder.cli.change_json import change_member, text
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
        "changes": [change_member(change) for change in tracked.changes.changes],
    }
    return json.dumps(told, indent=2) + "\n"
