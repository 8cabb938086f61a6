"""What the mounts of a RUN bring along: digests for its key, then the mounts themselves for its sandbox.

A read-only bind mount of a stage or an image is that stage's root file system; of a context it is a copy, made once, of
what the ignore file leaves: a RUN sees no file that a COPY would not see, files are root's, and nothing changes under
it. What is written to a writable one goes to an overlay, or where there can be none to a copy, and is gone after the
RUN.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import sha256
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from fswatch_builder import _native
from fswatch_builder._native import RefusedError, Rootfs, mount_overlay
from fswatch_builder.build import keys
from fswatch_builder.build.events import Events, StepNote
from fswatch_builder.build.located import Located
from fswatch_builder.build.parts import Part, Taken
from fswatch_builder.build.sources import Sources
from fswatch_builder.errors import BuildContextError, UsageError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.mount import BindMount, CacheMount, Mount, SecretMount, Sharing, SshMount, TmpfsMount
from fswatch_builder.model.plan import Scratch
from fswatch_builder.model.step import RunAction
from fswatch_builder.oci.caches import Caches, CacheUse
from fswatch_builder.oci.store import Store
from fswatch_builder.remote.credentials import Credentials

#: Of a cache that one RUN mounts in several ways.
_STRICTEST: Final[tuple[Sharing, ...]] = ("locked", "private", "shared")


class Lent(Struct, frozen=True):
    """What the command line lends to whoever asks for it by name: secrets and the sockets of SSH agents."""

    secrets: Mapping[str, bytes] = field(default_factory=dict)
    agents: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Lent(agents={self.agents!r})"  # the secrets are nobody's to see

    @property
    def credentials(self) -> Credentials:
        """Of them, those for servers that the builder itself fetches from."""
        return Credentials(self.secrets, self.agents.get("default"))


class Prepared(Struct, frozen=True):
    """What a RUN gets. ``env`` are variables that overrule others; they are secrets."""

    mounts: tuple[_native.Mount, ...]
    env: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Prepared(mounts={self.mounts!r})"  # the secrets are nobody's to see


class Mounting:
    """Makes ready what RUNs of one build mount."""

    def __init__(self, store: Store, sources: Sources, lent: Lent, events: Events) -> None:
        self._store = store
        self._sources = sources
        self._lent = lent
        self._events = events
        self._caches = Caches(store)

    def taken(self, action: RunAction) -> list[Taken]:
        """What the mounts bring along, one by one. Raises BuildContextError for a source that is not there."""
        return [self._taken(mount) for mount in action.mounts]

    def _taken(self, mount: Mount) -> Taken:
        files = self._files(mount)
        name = f"the mount {mount.target}" if mount.target else "a mount"
        options = Part(f"options of {name}", keys.mount_key(mount, None))
        brought = () if files is None else (replace(files, name=f"{files.name} of {name}"),)
        return Taken(keys.mount_key(mount, None if files is None else files.digest), (options, *brought))

    def _content(self, mount: Mount) -> bytes | None:
        files = self._files(mount)
        return None if files is None else files.digest

    def _files(self, mount: Mount) -> Part | None:
        match mount:
            case BindMount(origin=origin, source=source) | CacheMount(origin=origin, source=source):
                return None if origin is None or isinstance(origin, Scratch) else self._sources.mounted(origin, source)
            case _:
                return None

    @contextmanager
    def prepared(self, action: RunAction, number: int, *, renew: bool) -> Iterator[Prepared]:
        """In force as long as the context lasts. ``renew``: the caches start anew, once in this build.

        Raises UsageError for what the command line would have to lend, BuildContextError for a source.
        """
        with ExitStack() as stack:
            scratch = stack.enter_context(self._store.workspace()) if action.mounts else ""
            caches = self._cache_directories(action, number, stack, renew=renew)
            mounts: list[_native.Mount] = []
            env: dict[str, str] = {}
            for position, mount in enumerate(action.mounts):
                directory = os.path.join(scratch, str(position))
                match mount:
                    case BindMount():
                        mounts.append(self._bind(mount, directory, number))
                    case CacheMount():
                        mounts.append(_cache(mount, caches[position]))
                    case TmpfsMount(target=target, size=size, writable=writable):
                        mounts.append(_native.Mount.tmpfs(os.fsencode(target), size=size, writable=writable))
                    case SecretMount():
                        self._secret(mount, mounts, env)
                    case SshMount():
                        mounts += self._agent(mount, directory, stack)
            yield Prepared(tuple(mounts), env)

    # Bind mounts.

    def _bind(self, mount: BindMount, directory: str, number: int) -> _native.Mount:
        target = os.fsencode(mount.target)
        if isinstance(mount.origin, Scratch):
            os.mkdir(directory, 0o755)
            return _native.Mount.tree(target, Rootfs(os.fsencode(directory)), b"", writable=mount.writable)
        located, warnings = self._sources.settled(mount.origin, mount.source)
        for warning in warnings:
            self._events.emit(StepNote(number, warning))
        if mount.writable:
            os.mkdir(directory, 0o700)
            located = _writable(located, directory)
        return _native.Mount.tree(target, located.rootfs, located.path, writable=mount.writable)

    # Caches.

    def _cache_directories(
        self, action: RunAction, number: int, stack: ExitStack, *, renew: bool
    ) -> Mapping[int, Rootfs]:
        """The directory of each cache mount, by its position. One that is asked for twice is taken once.

        They are taken in the order of their keys, so that no two RUNs wait for one another.
        """
        wanted: dict[Digest, list[tuple[int, CacheMount]]] = {}
        for position, mount in enumerate(action.mounts):
            if isinstance(mount, CacheMount):
                key = _cache_key(action.cache_namespace, mount, self._content(mount))
                wanted.setdefault(key, []).append((position, mount))
        found: dict[int, Rootfs] = {}
        for key, mounts in sorted(wanted.items()):
            modes = {mount.sharing for _, mount in mounts}
            sharing = next(mode for mode in _STRICTEST if mode in modes)
            first = mounts[0][1]
            note = StepNote(number, f"waiting for the cache {first.id}: another RUN has it locked")
            directory = stack.enter_context(
                self._caches.use(
                    CacheUse(key, sharing, first.id),
                    partial(self._fill, first),
                    waiting=partial(self._events.emit, note),
                    renew=renew,
                )
            )
            found.update((position, directory) for position, _ in mounts)
        return found

    def _fill(self, mount: CacheMount, directory: str) -> None:
        os.chmod(directory, 0o755)  # noqa: S103 - as in BuildKit; what is above it is the builder's alone
        if mount.origin is not None and not isinstance(mount.origin, Scratch):
            located = self._sources.located(mount.origin, mount.source)
            if located.entry.kind != "directory":
                raise BuildContextError(f'"{mount.source}": not a directory, so no cache can start with it')
            located.copy(directory)
        if mount.uid is not None or mount.gid is not None:
            os.chown(directory, -1 if mount.uid is None else mount.uid, -1 if mount.gid is None else mount.gid)
        if mount.mode is not None:
            os.chmod(directory, mount.mode)

    # What is lent.

    def _secret(self, mount: SecretMount, mounts: list[_native.Mount], env: dict[str, str]) -> None:
        value = self._lent.secrets.get(mount.id)
        if value is None:
            if mount.required:
                raise UsageError(
                    f"secret {mount.id}: not found",
                    hint=f"give it with --secret id={mount.id},src=FILE or --secret id={mount.id},env=NAME",
                )
            return
        if mount.env is not None:
            if b"\0" in value:
                raise UsageError(f"secret {mount.id}: it holds a NUL byte, so it cannot be a variable")
            env[mount.env] = os.fsdecode(value)
        if mount.target is not None:
            target = os.fsencode(mount.target)
            mounts.append(_native.Mount.file(target, value, mode=mount.mode, uid=mount.uid, gid=mount.gid))

    def _agent(self, mount: SshMount, directory: str, stack: ExitStack) -> Sequence[_native.Mount]:
        path = self._lent.agents.get(mount.id)
        if path is None:
            if mount.required:
                raise UsageError(
                    f"ssh agent {mount.id}: not found",
                    hint=f"lend one with --ssh {mount.id}, or --ssh {mount.id}=SOCKET",
                )
            return ()
        from fswatch_builder.runtime import agent

        os.mkdir(directory, 0o700)
        stack.enter_context(agent.lent(path, directory, mode=mount.mode, uid=mount.uid, gid=mount.gid))
        socket = Rootfs(os.fsencode(directory))
        return (_native.Mount.tree(os.fsencode(mount.target), socket, os.fsencode(agent.NAME), writable=False),)


def _writable(located: Located, directory: str) -> Located:
    """The same, to be written to without a trace: over it, or a copy of it."""
    if located.entry.kind == "directory":
        layers = os.path.join(directory, "layers")
        os.mkdir(layers, 0o700)
        try:
            lower = Rootfs(located.rootfs.path + b"/" + located.path)
            return Located.of(mount_overlay(lower, os.fsencode(layers)), b"")
        except (OSError, RefusedError):
            pass  # no overlay on this file system, or on an overlay: a copy does as well, and costs more
    copy = os.path.join(directory, "copy")
    os.mkdir(copy, 0o755)
    located.copy(copy)
    return Located.of(Rootfs(os.fsencode(copy)), located.name)


def _cache(mount: CacheMount, rootfs: Rootfs) -> _native.Mount:
    path = b"" if mount.origin is not None else rootfs.resolve(os.fsencode(mount.source))
    entry = rootfs.entry(path)
    if entry is None:
        raise BuildContextError(
            f'"{mount.source}": not found in the cache {mount.id}',
            hint="a RUN that mounts all of the cache can make it",
        )
    return _native.Mount.tree(os.fsencode(mount.target), rootfs, path, writable=mount.writable)


def _cache_key(namespace: str, mount: CacheMount, seed: bytes | None) -> Digest:
    """Mounts with the same one share a directory: as in BuildKit, what it starts with and whose it is count too."""
    owner: tuple[int | None, ...] = (mount.mode, mount.uid, mount.gid)
    if seed is None:
        owner = tuple(known if value is None else value for value, known in zip(owner, (0o755, 0, 0), strict=True))
    hasher = sha256()
    for part in (namespace, mount.id, seed.hex() if seed is not None else "", *map(str, owner)):
        data = os.fsencode(part)
        hasher.update(len(data).to_bytes(8, "little") + data)
    return Digest.from_raw(hasher.digest())
