"""The cache key of a step: equal keys, equal layers.

sha256 over fields, each with its name and its length in front of it, so that no two lists of fields run together. The
parent is the chain ID below, so a step after an unchanged rootfs keeps its key whatever its history says. No times
are in it, no host names, and of the build arguments only those that the step sees. A new meaning of any field needs a
new ``_FORM``.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct

from fswatch_builder.model.digest import ChainID, DiffID, Digest
from fswatch_builder.model.mount import BindMount, CacheMount, Mount, SecretMount, SshMount, TmpfsMount
from fswatch_builder.model.remote import GitTree
from fswatch_builder.model.step import CopyAction, DirectoryAction, RunAction

if TYPE_CHECKING:
    import hashlib

    from fswatch_builder._native import Entry

_FORM = "fswatch-builder step 3"

Field = tuple[str, str | bytes | Iterable[str | bytes] | None]


class Inputs(Struct, frozen=True):
    """All that the result of a step depends on, each under its name: the whole truth about its ``key``, which is equal
    for equal ones.
    """

    kind: str
    parent: ChainID | None
    epoch: int | None
    fields: tuple[Field, ...]

    @property
    def key(self) -> Digest:
        """Over them all."""
        return _digest(self.kind, self.parent, self.epoch, *self.fields)


def run_inputs(parent: ChainID | None, action: RunAction, epoch: int | None, mounts: Sequence[bytes] = ()) -> Inputs:
    """Of a RUN; ``mounts`` are the keys of its mounts (`mount_key`).

    The values of secrets and proxies, the SSH agent and what a cache holds are not among them. The platform is, though
    it is in the files too: what a machine says of itself goes by it.
    """
    options = action.options
    return _inputs(
        "run",
        parent,
        epoch,
        ("platform", str(action.platform)),
        ("argv", action.argv),
        ("env", action.env),
        ("cwd", action.cwd),
        ("user", action.user),
        ("hostname", action.hostname),
        ("script", action.script),
        ("mounts", tuple(mounts)),
        ("caches", action.cache_namespace),
        ("network", action.network),
        ("security", action.security),
        ("hosts", tuple(part for host in options.hosts for part in host)),
        ("shm size", None if options.shm_size is None else str(options.shm_size)),
        ("ulimits", tuple(f"{limit.name}={limit.soft}:{limit.hard}" for limit in options.ulimits)),
    )


def mount_key(mount: Mount, content: bytes | None) -> bytes:
    """Of a mount, ``content`` being the digest over the files that it takes from elsewhere (None: from nowhere)."""
    fields: tuple[Field, ...]
    match mount:
        case BindMount():
            fields = (("writable", str(mount.writable)),)
        case CacheMount(id=name, sharing=sharing, origin=origin, source=source):
            seen = None if origin is not None else source
            fields = (("id", name), ("sharing", sharing), ("source", seen), ("writable", str(mount.writable)))
        case TmpfsMount(size=size):
            fields = (("size", None if size is None else str(size)), ("writable", str(mount.writable)))
        case SecretMount():
            fields = (("id", mount.id), ("env", mount.env), ("required", str(mount.required)))
        case SshMount():
            fields = (("id", mount.id), ("required", str(mount.required)))
    if isinstance(mount, CacheMount | SecretMount | SshMount):
        fields = (*fields, ("mode", str(mount.mode)), ("uid", str(mount.uid)), ("gid", str(mount.gid)))
    kind = type(mount).__name__
    return _digest(kind, None, None, ("target", mount.target), ("content", content), *fields).raw


def tree_key(entry: "Entry", content: bytes, *, owners: bool) -> bytes:
    """Of one file or directory of a source: what it is itself, and ``content``, the digest over what it holds."""
    numbers = [entry.mode, entry.rdev, *((entry.uid, entry.gid) if owners else ())]
    attributes = [part for attribute in entry.xattrs for part in attribute]
    return _digest(
        "tree",
        None,
        None,
        ("kind", entry.kind),
        ("numbers", [str(number) for number in numbers]),
        ("attributes", attributes),
        ("content", content),
    ).raw


def copy_inputs(parent: ChainID | None, action: CopyAction, content: bytes, epoch: int | None) -> Inputs:
    """Of COPY and ADD; ``content`` is the digest over names, modes, owners and bytes of what they take.

    ``--link`` is the copy onto nothing: its parent is none, whatever is below.
    """
    return _inputs(
        "add" if action.add else "copy",
        None if action.link else parent,
        epoch,
        ("dest", action.dest),
        ("parents", str(action.parents)),
        ("unpack", None if action.unpack is None else str(action.unpack)),
        ("link", str(action.link)),
        ("chown", action.chown),
        ("chmod", action.chmod),
        ("content", content),
        ("documents", tuple(part for document in action.documents for part in document)),
    )


def directory_inputs(parent: ChainID | None, action: DirectoryAction, epoch: int | None) -> Inputs:
    """Of WORKDIR."""
    return _inputs("directory", parent, epoch, ("path", action.path), ("user", action.user))


def squash_key(layers: ChainID | None, kept: int, epoch: int | None) -> Digest:
    """Of the one layer that all but the first ``kept`` of ``layers`` become."""
    return _digest("squash", layers, epoch, ("kept", str(kept)))


def selection_key(chain: ChainID | None, words: Iterable[str], exclude: Iterable[str], parents: bool) -> bytes:
    """Of what words of a COPY take from a root file system that is known by its chain ID."""
    return _digest("selection", chain, None, ("words", words), ("exclude", exclude), ("parents", str(parents))).raw


def content_key(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """Of what the sources of one COPY or ADD give, in their order, each with what kind of source it is."""
    return _digest("content", None, None, ("parts", [part for pair in parts for part in pair])).raw


def git_identity(source: GitTree, commit: str) -> bytes:
    """Of the files of a commit. Its repository counts only where something of it is kept."""
    return _digest(
        "git",
        None,
        None,
        ("commit", commit),
        ("subdir", source.subdir),
        ("submodules", str(source.submodules)),
        ("mtime", source.mtime),
        ("repository", f"{source.remote} {source.ref}" if source.keep_git_dir else None),
    ).raw


def http_identity(name: str, sha256: str, modified: int | None) -> bytes:
    """Of a file behind a URL. Its time counts, for the server states it: a checkout makes none anew."""
    stamp = None if modified is None else str(modified)
    return _digest("http", None, None, ("name", name), ("sha256", sha256), ("modified", stamp)).raw


def place_key(parts: Iterable[str]) -> bytes:
    """Of a stage of a Dockerfile that is built again and again, for what is remembered of its last build."""
    return _digest("place", None, None, ("parts", parts)).raw


def url_key(url: str) -> bytes:
    """Of a URL, for what is remembered of it."""
    return _digest("url", None, None, ("url", url)).raw


def chain_of(layers: Iterable[DiffID]) -> ChainID | None:
    """The state that a stack of layers makes; None for no layer."""
    chain: ChainID | None = None
    for diff_id in layers:
        chain = ChainID.over(chain, diff_id)
    return chain


def field_digest(value: str | bytes | Iterable[str | bytes] | None) -> bytes:
    """Over the value of one field, for telling two apart."""
    hasher = sha256()
    _update(hasher, _parts(value))
    return hasher.digest()


def _inputs(kind: str, parent: ChainID | None, epoch: int | None, *fields: Field) -> Inputs:
    return Inputs(kind, parent, epoch, fields)


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
        _update(hasher, (name, *_parts(value)))
    return Digest.from_raw(hasher.digest())


def _update(hasher: "hashlib._Hash", parts: Iterable[str | bytes]) -> None:
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        hasher.update(len(data).to_bytes(8, "little") + data)


def _parts(value: str | bytes | Iterable[str | bytes] | None) -> Iterable[str | bytes]:
    """The type and, for a list, the number of its items go first: absent, empty and a list of one differ."""
    if value is None:
        return ("absent",)
    if isinstance(value, str | bytes):
        return ("one", value)
    items = tuple(value)
    return (f"list of {len(items)}", *items)
