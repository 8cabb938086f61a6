"""Making room: what no image needs goes, if it is asked for images too, and never what a running build uses.

The decision and the disappearance of all that goes are one transaction, in which everything moves to a workspace: so no
build can begin to use a thing that was chosen, and a second prune finds nothing left to choose. Freeing the space comes
after it; who is killed there leaves a workspace that the next one sweeps.
"""

import time
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from fswatch_builder.errors import StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.keeping.contents import blobs_of, needed
from fswatch_builder.oci.keeping.kept import Kind, Thing
from fswatch_builder.oci.keeping.usage import disk_usage
from fswatch_builder.oci.names import Entry
from fswatch_builder.oci.store import Store

#: Seconds. What takes no space is forgotten when it was not used for so long.
_FORGOTTEN_S: Final = 7 * 24 * 3600


class Wish(Struct, frozen=True):
    """What may go. ``images``: those with names too. ``before``: only what was last used before (seconds since the
    epoch). ``keep``: of all that may go so many bytes stay, the most recently used.
    """

    images: bool = False
    before: float | None = None
    keep: int | None = None


class Candidate(Struct, frozen=True):
    """What goes as one. ``names``: an image's; ``keys``: what of ``kind`` goes with it. ``size`` in bytes."""

    what: str
    kind: Kind
    keys: tuple[Digest, ...]
    size: int
    used: float
    in_use: bool
    names: tuple[Entry, ...] = ()


class Pruned(Struct, frozen=True):
    """What went, and what would have, were it not in use. ``freed``: bytes on the disk."""

    removed: tuple[Candidate, ...]
    in_use: tuple[Candidate, ...]
    freed: int


def prune(store: Store, wish: Wish) -> Pruned:
    """Does it. Raises StoreError, OutputError."""
    # Before the transaction, for it takes time; what comes meanwhile was used too recently to matter.
    sizes = {thing.path: disk_usage(thing.path) for kind in Kind for thing in store.kept.things(kind)}
    with store.workspace() as grave, store.state.transaction():
        if store.session.strangers():
            raise StoreError(
                "a build that began before the store's database was lost is running, and nobody knows what it uses",
                hint="prune when it has ended",
            )
        chosen = _choose(_candidates(store, wish, sizes), wish)
        removed = tuple(candidate for candidate in chosen if not candidate.in_use)
        untagged = [entry for candidate in removed for entry in candidate.names]
        if untagged:  # first: what goes afterwards is needed by no name
            store.names.write([entry for entry in store.names.entries() if entry not in untagged])
        freed = 0
        for kind in Kind:
            keys = [key for candidate in removed if candidate.kind is kind for key in candidate.keys]
            buried = store.kept.bury(kind, keys, grave)
            freed += sum(sizes.get(store.kept.path(kind, key), 0) for key in buried)
        store.kept.bury_discarded(grave)
        _forget(store, wish)
    return Pruned(removed, tuple(candidate for candidate in chosen if candidate.in_use), freed)


def _choose(found: list[Candidate], wish: Wish) -> list[Candidate]:
    """The longest unused first, until what is left of all is no more than is to be kept."""
    left = sum(candidate.size for candidate in found)
    chosen = []
    for candidate in sorted(found, key=lambda candidate: (candidate.used, candidate.what)):
        if wish.before is not None and candidate.used >= wish.before:
            continue
        if wish.keep is not None and left <= wish.keep:
            break
        chosen.append(candidate)
        if not candidate.in_use:
            left -= candidate.size
    return chosen


def _candidates(store: Store, wish: Wish, sizes: Mapping[str, int]) -> list[Candidate]:
    blobs = {thing.key: thing for thing in store.kept.things(Kind.BLOB)}
    images = _images(store, blobs, sizes) if wish.images else []
    owned = needed(store, store.names.entries())
    loose = [_single(thing, sizes) for key, thing in blobs.items() if key not in owned]
    others = [_single(thing, sizes) for kind in Kind if kind is not Kind.BLOB for thing in store.kept.things(kind)]
    return [*images, *loose, *others]


def _single(thing: Thing, sizes: Mapping[str, int]) -> Candidate:
    what = f"{thing.kind} {thing.label}".rstrip() if thing.label else f"{thing.kind} {thing.key}"
    return Candidate(what, thing.kind, (thing.key,), sizes.get(thing.path, 0), thing.used.timestamp(), thing.in_use)


def _images(store: Store, blobs: Mapping[Digest, Thing], sizes: Mapping[str, int]) -> list[Candidate]:
    """One for each manifest that has names. A blob goes with the least recently used image that needs it, for when that
    one goes, the others have gone before.
    """
    named: dict[Digest, list[Entry]] = {}
    for entry in store.names.entries():
        named.setdefault(entry.digest, []).append(entry)
    claimed: set[Digest] = set()
    found = []
    for digest in sorted(named, key=lambda digest: (_used(blobs, digest), digest), reverse=True):
        own = blobs_of(store, digest) - claimed
        claimed |= own
        entries = named[digest]
        here = tuple(blobs[key] for key in sorted(own) if key in blobs)
        found.append(
            Candidate(
                "image " + (", ".join(entry.name.familiar() for entry in entries if entry.name) or str(digest)),
                Kind.BLOB,
                tuple(thing.key for thing in here),
                sum(sizes.get(thing.path, 0) for thing in here),
                _used(blobs, digest),
                digest in blobs and blobs[digest].in_use,
                tuple(entries),
            )
        )
    return found


def _used(blobs: Mapping[Digest, Thing], digest: Digest) -> float:
    return blobs[digest].used.timestamp() if digest in blobs else 0.0


def _forget(store: Store, wish: Wish) -> None:
    """Results of steps whose layer is gone, and what takes no space and was not used for long."""
    now = time.time()
    patience = 0 if wish.images and wish.keep is None else _FORGOTTEN_S
    limit = int(min(now + 1 - patience, now + 1 if wish.before is None else wish.before))
    state = store.state
    leased = "SELECT key FROM leases WHERE kind = 'step'"
    recent = "SELECT key FROM uses WHERE kind = 'step' AND used >= ?"
    state.change("DELETE FROM steps WHERE diff_id IS NOT NULL AND diff_id NOT IN (SELECT diff_id FROM layers)")
    state.change(
        f"DELETE FROM steps WHERE diff_id IS NULL AND key NOT IN ({leased}) AND key NOT IN ({recent})",  # noqa: S608
        limit,
    )
    state.change("DELETE FROM uses WHERE kind = 'step' AND key NOT IN (SELECT key FROM steps)")
    state.change("DELETE FROM notes WHERE noted < ?", limit)
