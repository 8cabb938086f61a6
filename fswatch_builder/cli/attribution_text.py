"""Who did it, for people: a few words below each change."""

import os
import re
from collections.abc import Iterator

from fswatch_builder._native import Process
from fswatch_builder.cli.printable import printable_name
from fswatch_builder.cli.render import counted
from fswatch_builder.model.attribution import Attribution

#: Processes that a change names; of more it gives the number.
_NAMED = 5

#: Programs of one process that are shown, the first and the last ones.
_CHAIN = 4

#: What starts another program and is none to speak of (ld.so(8)).
_LOADER = re.compile(rb"/ld(64)?(-linux|-musl)?[^/]*\.so(\.[0-9]+)?$")

_STATES = {
    "ended": "had ended, and started no program of its own",
    "kernel": "a thread of the kernel",
    "ambiguous": "its number may have been another process's too",
    "hidden": "in another PID namespace",
}


def who(attribution: Attribution, path: bytes) -> str:
    """``by /usr/bin/install (4712), /usr/bin/strip (4714)``."""
    pids = attribution.touched.get(path, ())
    if not pids:
        return "by nobody that was heard of"
    named = ", ".join(_process_text(attribution.processes[pid]) for pid in pids[:_NAMED])
    return f"by {named}" + (f" and {len(pids) - _NAMED:,} more" if len(pids) > _NAMED else "")


def _process_text(process: Process) -> str:
    if process.state in _STATES:
        number = f"process {process.pid}" if process.pid else "a process"
        return f"{number} ({_STATES[process.state]})"
    programs = [program for program in process.programs if not _LOADER.search(program)] or process.programs
    shown = [printable_name(os.fsdecode(program)) for program in programs]
    if len(shown) > _CHAIN:
        shown[1 : 1 - _CHAIN] = ["..."]
    return f"{' > '.join(shown)} ({process.pid})"


def notes(attribution: Attribution) -> Iterator[str]:
    """What the reader of all that has to know."""
    if not attribution.complete:
        yield "more processes did more than is kept in mind: some are missing"
    if attribution.unheard:
        places = ", ".join(os.fsdecode(point) for point in attribution.unheard)
        yield f"programs start unheard from {counted(len(attribution.unheard), 'file system')}: {places}"
