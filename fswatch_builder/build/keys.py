"""The cache key of a step: equal keys, equal layers.

sha256 over fields, each with its name and its length in front of it, so that no two lists of fields run together. The
parent is the chain ID below, so a step after an unchanged rootfs keeps its key whatever its history says. No times
are in it, no host names, and of the build arguments only those that the step sees. A new meaning of any field needs a
new ``_FORM``.
"""

from collections.abc import Iterable
from hashlib import sha256

from fswatch_builder.model.digest import ChainID, DiffID, Digest
from fswatch_builder.model.step import CopyAction, DirectoryAction, RunAction

_FORM = "fswatch-builder step 1"

Field = tuple[str, str | bytes | Iterable[str] | None]


def run_key(parent: ChainID | None, action: RunAction, epoch: int | None) -> Digest:
    """Of a RUN."""
    return _digest(
        "run",
        parent,
        epoch,
        ("argv", action.argv),
        ("env", action.env),
        ("cwd", action.cwd),
        ("user", action.user),
        ("hostname", action.hostname),
        ("script", action.script),
    )


def copy_key(parent: ChainID | None, action: CopyAction, content: bytes, epoch: int | None) -> Digest:
    """Of COPY and ADD; ``content`` is the digest over names, modes, owners and bytes of what they take."""
    return _digest(
        "add" if action.add else "copy",
        parent,
        epoch,
        ("dest", action.dest),
        ("chown", action.chown),
        ("chmod", action.chmod),
        ("content", content),
        ("documents", [part for document in action.documents for part in document]),
    )


def directory_key(parent: ChainID | None, action: DirectoryAction, epoch: int | None) -> Digest:
    """Of WORKDIR."""
    return _digest("directory", parent, epoch, ("path", action.path), ("user", action.user))


def selection_key(chain: ChainID | None, patterns: Iterable[str]) -> bytes:
    """Of what COPY patterns take from a root file system that is known by its chain ID."""
    return _digest("selection", chain, None, ("patterns", patterns)).raw


def chain_of(layers: Iterable[DiffID]) -> ChainID | None:
    """The state that a stack of layers makes; None for no layer."""
    chain: ChainID | None = None
    for diff_id in layers:
        chain = ChainID.over(chain, diff_id)
    return chain


def _digest(kind: str, parent: ChainID | None, epoch: int | None, *fields: Field) -> Digest:
    hasher = sha256()
    everything: tuple[Field, ...] = (
        ("form", _FORM),
        ("kind", kind),
        ("parent", "scratch" if parent is None else str(parent)),
        ("epoch", None if epoch is None else str(epoch)),
        *fields,
    )
    for name, value in everything:
        for part in (name, *_parts(value)):
            data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
            hasher.update(len(data).to_bytes(8, "little"))
            hasher.update(data)
    return Digest.from_raw(hasher.digest())


def _parts(value: str | bytes | Iterable[str] | None) -> Iterable[str | bytes]:
    """The type and, for a list, the number of its items go first: absent, empty and a list of one differ."""
    if value is None:
        return ("absent",)
    if isinstance(value, str | bytes):
        return ("one", value)
    items = tuple(value)
    return (f"list of {len(items)}", *items)
