"""The oracle's second opinion, held against what a step found and against what the baseline records."""

from collections.abc import Collection, Hashable, Iterable, Sequence

from msgspec import Struct

from fswatch_builder._native import Baseline, ChangeSet, Entry, HintSet
from fswatch_builder.changes.oracle import OracleEntry, Snapshot, compare
from fswatch_builder.errors import AuditError

#: Differences, and hints near each, that a report spells out.
_SHOWN = 20
_SHOWN_HINTS = 5

_COMPARED = ("mode", "uid", "gid", "rdev", "target", "xattrs", "mtime_ns")
_NOTHING = "nothing"


class Difference(Struct, frozen=True):
    """``expected`` is what the oracle says about a path, ``found`` what it is held against."""

    path: bytes
    expected: str
    found: str


class Evidence(Struct, frozen=True):
    """Where a change set comes from. ``tracker`` None: the step listed what it wrote. ``hints`` are widened."""

    tracker: str | None
    hints: HintSet
    losses: tuple[tuple[str, bytes], ...]


def check_changes(
    before: Snapshot, after: Snapshot, changes: ChangeSet, evidence: Evidence, listed: Collection[bytes] = ()
) -> None:
    """Raises AuditError if ``changes`` are not those that the oracle sees from ``before`` to ``after``."""
    expected = {change.path: _change_text(change.kind, change.why) for change in compare(before, after, listed)}
    found = {change.path: _change_text(change.kind, change.why) for change in changes.changes}
    differences = [
        Difference(path, expected.get(path, _NOTHING), found.get(path, _NOTHING))
        for path in sorted(expected.keys() | found.keys())
        if expected.get(path) != found.get(path)
    ]
    if differences:
        what = "the changes found are not those on disk"
        raise _disagreement(what, differences, (*_lines(differences, evidence.hints.hints), *_evidence_lines(evidence)))


def check_baseline(baseline: Baseline, state: Snapshot) -> None:
    """Raises AuditError if ``baseline`` does not record ``state``."""
    differences = list(_unlike(baseline, state))
    if differences:
        what = "the baseline does not record what is on disk"
        raise _disagreement(what, differences, _lines(differences, ()))


def _disagreement(what: str, differences: Sequence[Difference], lines: Iterable[str]) -> AuditError:
    first = f"the audit disagrees about {_counted(len(differences), 'path')}: {what}"
    return AuditError("\n".join((first, *lines)), hint="please report this as a bug, with all these lines")


def _change_text(kind: str, why: frozenset[str]) -> str:
    return f"{kind} ({', '.join(sorted(why))})" if why else kind


def _counted(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def _lines(differences: Sequence[Difference], hints: Sequence[tuple[bytes, str]]) -> Iterable[str]:
    for difference in differences[:_SHOWN]:
        yield f"{_shown(difference.path)}: expected {difference.expected}, found {difference.found}"
        if hints:
            near = [f"{_shown(path)} ({scope})" for path, scope in hints if _is_near(path, scope, difference.path)]
            more = ["..."] if len(near) > _SHOWN_HINTS else []
            yield f"    hints near it: {', '.join([*near[:_SHOWN_HINTS], *more]) or 'none'}"
    if len(differences) > _SHOWN:
        yield f"and {len(differences) - _SHOWN:,} more"


def _is_near(hint: bytes, scope: str, path: bytes) -> bool:
    """Over it, at or below it, or in its directory."""
    if hint == path or hint == _parent(path) or _parent(hint) == _parent(path):
        return True
    return _is_below(hint, path) or (scope == "subtree" and _is_below(path, hint))


def _is_below(path: bytes, directory: bytes) -> bool:
    return directory == b"" or path.startswith(directory + b"/")


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _evidence_lines(evidence: Evidence) -> Iterable[str]:
    if evidence.tracker is None:
        yield f"no tracker: the step lists what it wrote, {_counted(len(evidence.hints), 'path')}"
        return
    yield f"tracker {evidence.tracker}, {_counted(len(evidence.hints), 'hint')}"
    losses = [f"{reason} {_shown(path)}" for reason, path in evidence.losses[:_SHOWN]]
    yield f"losses: {', '.join(losses) or 'none'}{', ...' if len(evidence.losses) > _SHOWN else ''}"


def _shown(path: bytes) -> str:
    return "/" + path.decode("utf-8", "surrogateescape")


def _unlike(baseline: Baseline, state: Snapshot) -> Iterable[Difference]:
    recorded = baseline.paths()
    groups = _firsts((path, seen.inode) for path, seen in sorted(state.items()) if seen.inode is not None)
    entries = ((path, baseline.entry(path)) for path in recorded)
    inodes = (
        (path, (entry.dev, entry.ino)) for path, entry in entries if entry is not None and entry.kind != "directory"
    )
    recorded_groups = _firsts(inodes)
    for path in sorted(state.keys() | set(recorded)):
        seen, entry = state.get(path), baseline.entry(path)
        if seen is None or entry is None:
            yield Difference(path, _NOTHING if seen is None else seen.kind, _NOTHING if entry is None else entry.kind)
            continue
        expected, found = _unlike_fields(path, seen, entry)
        if groups.get(path) != recorded_groups.get(path):
            expected.append(f"a link to {_shown(groups.get(path, path))}")
            found.append(f"a link to {_shown(recorded_groups.get(path, path))}")
        if expected:
            yield Difference(path, ", ".join(expected), ", ".join(found))


def _firsts(names: Iterable[tuple[bytes, Hashable]]) -> dict[bytes, bytes]:
    first: dict[Hashable, bytes] = {}
    return {path: first.setdefault(inode, path) for path, inode in names}


def _unlike_fields(path: bytes, seen: OracleEntry, entry: Entry) -> tuple[list[str], list[str]]:
    if seen.kind != entry.kind:
        return [seen.kind], [entry.kind]
    expected, found = [], []
    for name in _COMPARED:
        if path == b"" and name == "mtime_ns":
            continue
        one, other = getattr(seen, name), getattr(entry, name)
        if one != other:
            expected.append(_field_text(name, one))
            found.append(_field_text(name, other))
    # An empty file may have been recorded without reading it, and a file that no layer holds yet without a digest.
    if entry.sha256 is not None and entry.size > 0 and entry.sha256 != seen.content:
        expected.append(f"content sha256:{(seen.content or b'').hex()[:12]}")
        found.append(f"content sha256:{entry.sha256.hex()[:12]}")
    return expected, found


def _field_text(name: str, value: object) -> str:
    match value:
        case int() if name == "mode":
            return f"mode {value:04o}"
        case bytes():
            return f"{name} {value.decode('utf-8', 'surrogateescape')}"
        case _:
            return f"{name} {value}"
