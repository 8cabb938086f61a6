"""What a tracked command did, for programs: one JSON document. docs/cli.md describes it; VERSION counts its meaning."""

import json
from collections.abc import Mapping

from fswatch_builder._native import Process
from fswatch_builder.cli.change_json import change_member, text
from fswatch_builder.model.attribution import Attribution
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
    if tracked.attribution is not None:
        told["attribution"] = _attribution(tracked.attribution)
    return json.dumps(told, indent=2) + "\n"


def _attribution(attribution: Attribution) -> Mapping[str, object]:
    return {
        "complete": attribution.complete,
        "unheard": [text(point) for point in attribution.unheard],
        "processes": [_process(process) for process in attribution.processes.values()],
        "touched": [{"path": text(path), "pids": pids} for path, pids in attribution.touched.items()],
    }


def _process(process: Process) -> Mapping[str, object]:
    arguments = process.arguments
    return {
        "pid": process.pid,
        "state": process.state,
        "programs": [text(program) for program in process.programs],
        "arguments": None if arguments is None else [text(word) for word in arguments],
    }
