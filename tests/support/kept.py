"""Looks at what a store keeps unpacked, and at what builds say of it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from fswatch_builder.build.events import StepNote
from fswatch_builder.model.digest import Digest
from tests.support.builds import Result, args

EPOCH = args(SOURCE_DATE_EPOCH="1000000000")
FROM_EARLIER = "base kept from an earlier build"


def notes(result: Result) -> list[str]:
    return [event.text for event in result.recorder.events if isinstance(event, StepNote)]


def kept_notes(result: Result) -> list[str]:
    return [note for note in notes(result) if "base" in note and "changes are found" not in note]


def trees(store: Path, kind: str = "tree") -> list[Path]:
    return sorted(path for path in (store / "kept" / kind).glob("*") if len(path.name) == 64)


def key(store: Path) -> Digest:
    """Of the only tree."""
    (tree,) = trees(store)
    return Digest(f"sha256:{tree.name}")


def of_another_boot(store: Path, kind: str = "tree") -> None:
    """As if the machine had been started again."""
    with closing(sqlite3.connect(store / "state.db")) as database, database:
        assert database.execute("UPDATE kept SET boot = 'another' WHERE kind = ?", (kind,)).rowcount == 1


def leftovers(store: Path) -> list[str]:
    return [
        *(name for name in os.listdir(store / "work") if name != ".lock"),
        *(name for kind in ("tree", "state") for name in os.listdir(store / "kept" / kind) if len(name) != 64),
    ]
