"""Reading everything again: what is damaged goes, and what needs it, and what power cuts and kills have left behind.

Damage is content that is not what its name says, a name whose image is not whole, a database that sqlite finds wrong.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Generator, Mapping
from typing import Final

from msgspec import Struct, field

from fswatch_builder.errors import StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.blobs import is_there, write_errors
from fswatch_builder.oci.filesystem import unmount_below
from fswatch_builder.oci.keeping.contents import blobs_of
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.names import Entry
from fswatch_builder.oci.store import Store
from fswatch_builder.oci.workspace import sweep_strays

_CHUNK: Final = 1 << 20

#: What is wrong with a kept directory at this path, if anything; by kind. A kind without one is not looked into.
Checks = Mapping[Kind, Callable[[str], str | None]]


class Progress(Struct, frozen=True):
    """Bytes of blobs that were read, of how many."""

    done: int
    total: int


class Report(Struct):
    """What a verification found. ``damage``: what was wrong and is gone now; ``lost``: images that went with it, by
    name; ``left``: what is wrong and stays, since a running build uses it; ``swept``: leftovers that are gone.
    """

    blobs: int = 0
    size: int = 0
    damage: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was damaged. Leftovers are no damage."""
        return not self.damage and not self.lost and not self.left


def verify(store: Store, checks: Checks) -> Generator[Progress, None, Report]:
    """Does it, and says on the way how far it is. Raises StoreError, OutputError for what cannot be mended."""
    report = Report()
    report.damage += store.mend()
    damaged = yield from _read_blobs(store, report)
    _remove(store, Kind.BLOB, damaged, report)
    report.swept += _unmount(store)
    for kind, check in checks.items():
        found = {thing.key: wrong for thing in store.kept.things(kind) if (wrong := check(thing.path)) is not None}
        _remove(store, kind, found, report)
    for kind in {Kind.TREE, Kind.STATE} - checks.keys():
        _drop_doubtful_trees(store, kind, report)
    _drop_broken_images(store, report)
    _forget_what_is_gone(store, report)
    _sweep(store, report)
    return report


def _read_blobs(store: Store, report: Report) -> Generator[Progress, None, dict[Digest, str]]:
    things = store.kept.things(Kind.BLOB)
    total = sum(_size(thing.path) for thing in things)
    damaged: dict[Digest, str] = {}
    done = 0
    for thing in things:
        seen = hashlib.sha256()
        try:
            with open(thing.path, "rb", buffering=0) as file:
                while chunk := file.read(_CHUNK):
                    seen.update(chunk)
                    done += len(chunk)
                    yield Progress(done, total)
        except FileNotFoundError:
            continue  # a prune beside us
        except OSError as error:
            if error.errno == errno.ESTALE:
                continue  # a prune on another machine
            damaged[thing.key] = f"blob {thing.key} cannot be read: {error.strerror}"
            continue
        report.blobs += 1
        if seen.hexdigest() != thing.key.hex:
            damaged[thing.key] = f"blob {thing.key} is damaged: its content has the digest sha256:{seen.hexdigest()}"
    report.size = done
    return damaged


def _drop_doubtful_trees(store: Store, kind: Kind, report: Report) -> None:
    """Those that a power cut may have cut into. A build would read them before it believes them; here nobody can."""
    doubtful = [thing for thing in store.kept.things(kind) if not thing.of_this_boot]
    with store.workspace() as grave:
        gone = store.kept.bury(kind, [thing.key for thing in doubtful], grave)
    report.swept += [f"{thing.path}, unpacked before this boot" for thing in doubtful if thing.key in gone]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _unmount(store: Store) -> list[str]:
    """What is mounted in things that nobody uses."""
    idle = [
        thing.path for kind in Kind if kind is not Kind.BLOB for thing in store.kept.things(kind) if not thing.in_use
    ]
    with write_errors(store.directory):
        return [f"mount {point}" for path in idle for point in unmount_below(path)]


def _remove(store: Store, kind: Kind, wrong: Mapping[Digest, str], report: Report) -> None:
    with store.workspace() as grave:
        gone = set(store.kept.bury(kind, sorted(wrong), grave))
    for key, told in wrong.items():
        (report.damage if key in gone else report.left).append(told)


def _drop_broken_images(store: Store, report: Report) -> None:
    """Names whose image is not whole any more, whoever broke it."""
    with store.state.transaction():
        entries = store.names.entries()
        judged = [(entry, _why_broken(store, entry)) for entry in entries]
        if any(why is not None for _, why in judged):
            store.names.write([entry for entry, why in judged if why is None])
    for entry, why in judged:
        if why is None:
            continue
        name = entry.name.familiar() if entry.name is not None else str(entry.digest)
        report.lost.append(f"image {name} is removed: {why}")


def _why_broken(store: Store, entry: Entry) -> str | None:
    try:
        for digest in sorted(blobs_of(store, entry.digest)):
            if not is_there(store.blob_path(digest)):
                return f"blob {digest} is missing"
    except StoreError as error:
        return error.what
    return None


def _forget_what_is_gone(store: Store, report: Report) -> None:
    """Rows of blobs that are not there: a hit on one would be found out, but they are in the way."""
    with store.state.transaction():
        rows = store.state.rows("SELECT DISTINCT digest FROM layers")
        gone = [digest for (digest,) in rows if not is_there(store.blob_path(Digest(digest)))]
        store.state.change_all("DELETE FROM layers WHERE digest = ?", [(digest,) for digest in gone])
        where = "WHERE diff_id IS NOT NULL AND diff_id NOT IN (SELECT diff_id FROM layers)"
        ((steps,),) = store.state.rows(f"SELECT count(*) FROM steps {where}")  # noqa: S608
        store.state.change(f"DELETE FROM steps {where}")  # noqa: S608
    if steps:
        report.swept.append(f"{steps} results of steps whose layer is gone")


def _sweep(store: Store, report: Report) -> None:
    with store.workspace() as grave:
        report.swept += store.kept.bury_strays(grave)
        with write_errors(store.directory):
            report.swept += _outdated(store.directory, grave)
    store.session.strangers()
    with write_errors(store.directory):
        report.swept += sweep_strays(store.workspaces)


def _outdated(directory: str, grave: str) -> list[str]:
    """What stores of the first version had, and nobody reads any more."""
    path = os.path.join(directory, "baselines")
    try:
        os.rename(path, os.path.join(grave, "baselines"))
    except FileNotFoundError:
        return []
    return [path]
