"""Which operation raises which event, on each file system; and that no tracker misses what was done.

A failure of the first two means: a proof lost a premise. The third is what the premises are for.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from fswatch_builder import _native as native
from tests.kernel.operations import Operation, plant
from tests.kernel.operations_of_administrators import ADMINISTRATORS
from tests.kernel.operations_on_files import FILES
from tests.kernel.operations_on_mappings import MAPPINGS
from tests.kernel.operations_on_names import NAMES
from tests.support.fanotify import Event, Fanotify, Handle, Record, handle_of
from tests.support.tracked import armed, assert_nothing_missed

MASK = (
    flags.CREATE
    | flags.DELETE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.ATTRIB
    | flags.MODIFY
    | flags.CLOSE_WRITE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)


def cases(*, inotify_only: bool) -> list[object]:
    return [
        pytest.param(kind, each, id=f"{each.name}-{kind}", marks=[pytest.mark.root] * (kind != "here" or each.root))
        for each in (*FILES, *MAPPINGS, *NAMES, *ADMINISTRATORS)
        for kind in each.on
        if kind != "here" or inotify_only
    ]


@contextmanager
def possible(operation: Operation) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in operation.lacks:
            pytest.skip(f"not to be had here: {error.strerror}")
        raise


def anonymous(name: str) -> str:
    """A file without a name is reported as #, and a number."""
    return re.sub(r"#\d+", "#?", name)


def told_by_inotify(inotify: INotify) -> str:
    said = []
    for event in inotify.read(timeout=0):
        mask = "|".join(str(flag.name) for flag in flags.from_mask(event.mask) if flag != flags.ISDIR or event.name)
        said.append(f"{mask} {anonymous(event.name)}".strip())
    return ", ".join(said)


@pytest.mark.parametrize(("place", "operation"), cases(inotify_only=True), indirect=["place"])
def test_what_inotify_says(operation: Operation, place: Path) -> None:
    plant()
    with possible(operation), INotify(nonblocking=True) as inotify:
        prepared = operation.before() if operation.before else None
        inotify.add_watch("d", MASK)
        told = tuple(told_by_inotify(inotify) for _ in operation.stops(prepared))
    assert told == operation.inotify


class Places:
    """Paths by handle, of everything that was there at some time."""

    def __init__(self) -> None:
        self.known: dict[Handle, str] = {}
        self.learn()

    def learn(self) -> None:
        for directory, _, files in os.walk("."):
            self.known[handle_of(directory)] = os.path.normpath(directory)
            for name in files:
                path = os.path.normpath(os.path.join(directory, name))
                self.known.setdefault(handle_of(path), path)

    def path(self, directory: Handle | None, name: bytes) -> str:
        assert directory is not None
        return os.path.normpath(os.path.join(self.known[directory], anonymous(os.fsdecode(name))))

    def says(self, record: Record) -> tuple[str, Event]:
        if record.new is not None:
            old, new = self.path(record.directory, record.name), self.path(*record.new)
            return f"{old} -> {new}", record.mask
        if record.name and record.name != b".":
            return self.path(record.directory, record.name), record.mask
        target = record.target or record.directory
        assert target is not None
        return f"{{{self.known[target]}}}", record.mask


def told_by_fanotify(group: Fanotify, places: Places) -> set[str]:
    """Of one object the masks are joined: the kernel may have done so, or not."""
    places.learn()
    joined: dict[str, Event] = {}
    for record in group.read():
        place, mask = places.says(record)
        joined[place] = joined.get(place, Event(0)) | mask
    return {f"{'|'.join(str(flag.name) for flag in mask)} {place}" for place, mask in joined.items()}


def as_told(expected: str) -> set[str]:
    return set(filter(None, expected.split(", ")))


@pytest.mark.parametrize(("place", "operation"), cases(inotify_only=False), indirect=["place"])
def test_what_fanotify_says(operation: Operation, place: Path) -> None:
    plant()
    with possible(operation), Fanotify() as group:
        prepared = operation.before() if operation.before else None
        group.mark(place)
        places = Places()
        told = [told_by_fanotify(group, places) for _ in operation.stops(prepared)]
    assert told == [as_told(each) for each in operation.fanotify]


@pytest.mark.parametrize(("place", "operation"), cases(inotify_only=True), indirect=["place"])
def test_no_tracker_misses_it(operation: Operation, place: Path) -> None:
    plant()
    rootfs = native.Rootfs(os.fsencode(place))
    with possible(operation):
        prepared = operation.before() if operation.before else None
        with armed(rootfs) as together:
            for _ in operation.stops(prepared):
                pass
            assert_nothing_missed(together, but_by=operation.missed_by)
