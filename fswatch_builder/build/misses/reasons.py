"""Two records of a step side by side: which input changed, in words."""

import os
from collections.abc import Iterator, Mapping
from typing import Final

from fswatch_builder._native import RefusedError, listing_differences
from fswatch_builder.build.misses.record import StepRecord

#: Files of one COPY that are told one by one.
_MOST_FILES: Final = 5
#: Characters of what an instruction was.
_MOST_TEXT: Final = 160

#: Inputs that come from elsewhere than the instruction's own line, as people know them. No value is ever shown.
_ELSEWHERE: Final[Mapping[str, str]] = {
    "platform": "the platform changed",
    "cwd": "WORKDIR changed",
    "hostname": "BUILDKIT_SANDBOX_HOSTNAME changed",
    "caches": "BUILDKIT_CACHE_MOUNT_NS changed",
    "hosts": "--add-host changed",
    "shm size": "--shm-size changed",
    "ulimits": "--ulimit changed",
    "epoch": "SOURCE_DATE_EPOCH changed",
}
#: Those that the line itself gives, unless a variable or an option did; with what is to be said then.
_OF_THE_LINE: Final[Mapping[str, str]] = {
    "argv": "SHELL changed",
    "script": "SHELL changed",
    "network": "--network changed",
    "security": "the security mode changed",
    "dest": "the destination changed, by a variable or WORKDIR",
    "path": "the path changed, by a variable or an earlier WORKDIR",
    "parents": "--parents changed",
    "unpack": "--unpack changed",
    "link": "--link changed",
    "chown": "--chown changed, by a variable",
    "chmod": "--chmod changed, by a variable",
    "documents": "its heredoc changed, by a variable",
}
_WORDS: Final[Mapping[str, str]] = {"xattrs": "extended attributes", "rdev": "device number", "links": "hard links"}


def differences(before: StepRecord, now: StepRecord) -> tuple[str, ...]:
    """Each input that differs, the parent left out; what an edited line explains is not told again."""
    changed = [name for name in {**before.inputs, **now.inputs} if before.inputs.get(name) != now.inputs.get(name)]
    return tuple(dict.fromkeys(_told(before, now, changed)))


def _told(before: StepRecord, now: StepRecord, changed: list[str]) -> Iterator[str]:
    edited = before.text_digest != now.text_digest
    if edited and (before.kind != now.kind or {*_OF_THE_LINE, "mounts", "content"} & {*changed}):
        yield f"the instruction was: {_was(before.text, now.text)}"
    for name in changed:
        if name in _ELSEWHERE:
            yield _ELSEWHERE[name]
        elif name == "user":
            yield "USER changed" if now.kind == "run" else "USER, which the directory is made for, changed"
        elif name == "env":
            yield from _variables(before.variables, now.variables)
        elif name in ("mounts", "content"):
            if not edited:
                yield from _parts(before, now)
        elif name in _OF_THE_LINE and not edited:
            yield _OF_THE_LINE[name]


def _was(before: str, now: str) -> str:
    """The line of it that is another one now."""
    lines, others = before.split("\n"), now.split("\n")
    at = next((at for at, (one, other) in enumerate(zip(lines, others, strict=False)) if one != other), len(others))
    line = lines[at] if at < len(lines) else lines[0]
    shown = line if len(line) <= _MOST_TEXT else line[:_MOST_TEXT] + "..."
    return shown if at == 0 or at >= len(lines) else f"{lines[0][:_MOST_TEXT]} ... {shown}"


def _variables(before: Mapping[str, bytes], now: Mapping[str, bytes]) -> Iterator[str]:
    """Names alone."""
    found = False
    for name in {**before, **now}:
        if name not in now:
            yield f"the variable {name} is gone"
        elif name not in before:
            yield f"the variable {name} is new"
        elif before[name] != now[name]:
            yield f"the variable {name} changed"
        else:
            continue
        found = True
    if not found:
        yield "the order of the variables changed"


def _parts(before: StepRecord, now: StepRecord) -> Iterator[str]:
    found = False
    for name in {**before.parts, **now.parts}:
        if before.parts.get(name) == now.parts.get(name):
            continue
        found = True
        if name not in now.parts:
            yield f"{name}: not taken any more"
        elif name not in before.parts:
            yield f"{name}: new"
        elif name in before.listings and name in now.listings:
            yield from _files(name, before.listings[name], now.listings[name])
        elif name in before.shown and name in now.shown:
            yield f"{name} changed, it was {before.shown[name]} and is {now.shown[name]}"
        else:
            yield f"{name} changed"
    if not found:
        yield "what it takes changed, by a variable"


def _files(name: str, before: bytes, now: bytes) -> Iterator[str]:
    try:
        found, count = listing_differences(before, now, _MOST_FILES)
    except RefusedError:  # kept by another version
        found, count = [], 0
    for one in found:
        where = os.fsdecode(one.path) or "all of it"
        yield f"{name}: {where}: {', '.join(_aspect(what) for what in one.what)}"
    if count > len(found):
        yield f"{name}: and {count - len(found)} more"
    if not count:
        yield f"{name} changed"


def _aspect(what: str) -> str:
    return "something below it" if what == "below" else _WORDS.get(what, what)
