"""The contract of the compiled core.

Paths are bytes. "Relative path" means: relative to the root, no leading slash, no empty, ``.`` or ``..`` part; the root is
``b""``. Digests are 32 raw bytes. Times are nanoseconds since the epoch unless a name says otherwise.

Every call releases the GIL. A failed system call is an ``OSError`` (the subclass that belongs to its errno) whose ``filename``
is the path as bytes and whose ``operation`` attribute and message name the system call. What an image, an archive or a saved
file does wrong is one of the two exceptions below.
"""

from collections.abc import Sequence
from typing import Final, Literal, final

__all__ = [
    "LOSS_REASONS",
    "ArchiveError",
    "Baseline",
    "Change",
    "ChangeSet",
    "Content",
    "Copied",
    "Emulators",
    "Entry",
    "FilesystemMark",
    "HintSet",
    "HostCommand",
    "IgnorePatterns",
    "KnownContents",
    "LayerStack",
    "ListingDifference",
    "Mode",
    "Mount",
    "PackedLayer",
    "Process",
    "ProcessRecord",
    "RefusedCall",
    "RefusedError",
    "Rootfs",
    "RunSpec",
    "Sandbox",
    "UnpackedLayer",
    "Upper",
    "Watches",
    "add_archive",
    "content",
    "copy",
    "copy_member",
    "exchange",
    "expand",
    "is_multigrain",
    "listing_differences",
    "mount_overlay",
    "pack_layer",
    "probe_link_witness",
    "read_tar_member",
    "refused_calls",
    "remove_tree",
    "spawn",
    "unpack_layer",
]

_ScopeName = Literal["entry", "children", "subtree"]
_KindName = Literal["file", "directory", "symlink", "fifo", "char-device", "block-device"]
_ProcessState = Literal["seen", "started", "ended", "kernel", "ambiguous", "hidden"]
_ChangeName = Literal["added", "modified", "replaced", "deleted"]

class ArchiveError(ValueError):
    """An archive breaks the rules of its format or of this project."""

    offset: int  # of the member's header in the uncompressed stream, bytes
    path: bytes  # as the archive spells it
    reason: str

class RefusedError(ValueError):
    """Something in a root file system, a build context or a saved baseline cannot be used or represented."""

    path: bytes
    reason: str

@final
class Entry:
    """One entry of a root file system. Frozen."""

    kind: Final[_KindName]
    mode: Final[int]  # permission bits, 0o7777
    uid: Final[int]
    gid: Final[int]
    rdev: Final[int]
    size: Final[int]
    mtime_ns: Final[int]
    ctime_ns: Final[int]
    dev: Final[int]  # as it was when it was looked at: not stable across mounts
    ino: Final[int]
    nlink: Final[int]
    target: Final[bytes]
    xattrs: Final[tuple[tuple[bytes, bytes], ...]]
    sha256: Final[bytes | None]

# root.rs

@final
class Rootfs:
    """An open root directory: nothing asked of it leaves it, whatever links are planted in it."""

    def __new__(cls, path: bytes) -> Rootfs: ...
    @property
    def path(self) -> bytes: ...
    @property
    def merged(self) -> bool:
        """Whether ``mount_overlay`` made it. Its ``path`` then leads there for this process alone, while the object lives."""
    @property
    def file_system(self) -> bytes | None:
        """What is the same for directories of one file system (of btrfs: of one subvolume) as long as it stays mounted. None where
        the kernel does not tell, and for every kind but ext4, xfs and btrfs."""
    def abandon(self) -> None:
        """Nobody wants to know of it any more: ``Baseline.reconcile`` of it, in another thread, ends soon, with ``OSError``
        (ECANCELED). A file that is being read is read to its end."""
    def resolve(self, path: bytes) -> bytes:
        """Where ``path`` leads for a process chrooted here (a relative path); what does not exist is kept as spelled."""
    def read_file(self, path: bytes, limit: int) -> bytes | None:
        """A small regular file, links followed inside the root. Anything else, or more bytes than ``limit``, is refused."""
    def open_file(self, path: bytes) -> int:
        """A descriptor of a regular file, for the caller to close; links are followed inside the root."""
    def entry(self, path: bytes) -> Entry | None:
        """The entry at an exact relative path, no link followed."""
    def names(self, path: bytes) -> list[bytes]:
        """Sorted names in a directory, by its exact relative path."""
    def own_directory(self, path: bytes, uid: int, gid: int) -> None:
        """Gives the directory at an exact relative path an owner."""
    def make_directory(self, path: bytes, uid: int, gid: int) -> list[bytes]:
        """WORKDIR: makes all missing levels, 0755; returns them, parents first; existing parents keep their mtime. Links on
        the way are followed inside the root. An existing entry that is no directory is ``NotADirectoryError``."""

def remove_tree(path: bytes) -> None:
    """Removes a directory and everything below it, by descriptors (any depth, any names; clears immutable flags)."""

def exchange(one: bytes, other: bytes) -> None:
    """Two paths of the host change places at once. EINVAL or ENOSYS where the file system or the kernel cannot."""

# hint.rs

LOSS_REASONS: Final[tuple[str, ...]]
"""Why a tracker may lose sight of a subtree."""

@final
class HintSet:
    """Where to look, and what was lost. Union is associative, commutative, idempotent."""

    def __new__(cls) -> HintSet: ...
    def add(self, path: bytes, scope: _ScopeName) -> None: ...
    def lose(self, reason: str, path: bytes) -> None: ...
    def merge(self, other: HintSet) -> None: ...
    @property
    def hints(self) -> list[tuple[bytes, _ScopeName]]: ...
    @property
    def losses(self) -> list[tuple[str, bytes]]:
        """(reason, path); the reasons are those of ``LOSS_REASONS``."""
    def __len__(self) -> int:
        """Number of hints."""

# baseline.rs, reconcile.rs

@final
class Change:
    """One changed entry. Frozen."""

    path: Final[bytes]
    kind: Final[_ChangeName]
    why: Final[frozenset[str]]  # mode uid gid rdev target xattrs content mtime links listed
    before: Final[Entry | None]
    after: Final[Entry | None]

@final
class ChangeSet:
    """The changes of one step, and what it took to find them."""

    def __len__(self) -> int: ...
    @property
    def changes(self) -> list[Change]: ...
    @property
    def sockets(self) -> list[bytes]: ...
    @property
    def stats(self) -> int: ...
    @property
    def listings(self) -> int: ...
    @property
    def hashed_files(self) -> int: ...
    @property
    def hashed_bytes(self) -> int: ...
    @property
    def losses(self) -> list[tuple[str, bytes]]:
        """Losses found while comparing (missing-links, vanished-links, unseen-links), already widened."""

_HashMode = Literal["evidence", "all", "none"]

@final
class Baseline:
    """The recorded metadata of one root file system: an immutable mapped base and a delta laid over it."""

    @staticmethod
    def empty(rootfs: Rootfs) -> Baseline:
        """Of a root file system that holds nothing but its root."""
    @staticmethod
    def record(rootfs: Rootfs, *, digests: bool = True, threads: int = 2) -> tuple[Baseline, ChangeSet]:
        """Of everything that is there now, each file read for its digest unless ``digests`` is false. The change set is empty:
        it has the sockets left out, and what it took."""
    @staticmethod
    def open(path: bytes) -> Baseline: ...
    def save(self, path: bytes) -> None:
        """Writes everything to a new file (temporary, fsync, rename) and goes on with that file as its mapped base."""
    def clone_tree(self, rootfs: Rootfs, into: Rootfs) -> Baseline:
        """Makes all that is recorded of ``rootfs`` anew in ``into``, which is empty, and returns what is recorded of that. Files
        share their blocks; ``OSError`` (EOPNOTSUPP, EXDEV) where they cannot."""
    def __len__(self) -> int:
        """Number of entries, the root not counted."""
    @property
    def directories(self) -> int: ...
    def entry(self, path: bytes) -> Entry | None: ...
    def paths(self) -> list[bytes]:
        """All of them, sorted; for tests and audits."""
    def null_device(self) -> bytes | None:
        """The path of a character device 0/0, if one is recorded. overlayfs would take it for a deleted file."""
    def linked_elsewhere(self) -> HintSet:
        """A hint for each inode that has more links than names here: a write through a name outside is seen by no tracker
        that goes by names."""
    def reconcile(
        self,
        rootfs: Rootfs,
        hints: HintSet,
        listed: Sequence[bytes] = ...,
        *,
        hash: _HashMode = "evidence",
        threads: int = 2,
        links_made: int | None = ...,
    ) -> ChangeSet:
        """Compares the hinted places with the disk. Losses in ``hints`` must have been widened to hints before.

        ``listed`` paths are in the result even if nothing about them differs; one that is not on disk is refused. ``hash``:
        ``evidence`` reads a file of the same size as before where stat evidence does not prove it untouched (one without a
        recorded digest then counts as changed); ``all`` reads every file looked at that has the size it had; ``none`` never
        reads (lossy). New files and new sizes are never read here: packing the layer does.

        ``links_made``: no more hard links than this were made (None: nobody knows), if ``hints`` come from a session that
        needs a link witness, else 0. If fewer of them are found, one may be gone, and everything is looked at."""
    def advance(self, changes: ChangeSet) -> None:
        """Makes the state after ``changes`` the new baseline."""

# layer.rs, extract.rs

@final
class PackedLayer:
    """A layer as it was written. Frozen."""

    diff_id: Final[bytes]
    size: Final[int]  # bytes of the tar
    entries: Final[int]  # tar members: files, directories above them, whiteouts

def pack_layer(
    rootfs: Rootfs,
    baseline: Baseline,
    changes: ChangeSet,
    fd: int,
    *,
    max_mtime: int | None = None,
    others_write: bool = False,
) -> PackedLayer:
    """Writes ``changes`` as an uncompressed OCI layer to ``fd`` and records the digests of what it read in ``changes``.

    ``baseline`` is the one before ``changes``. ``max_mtime`` (seconds): no time in the tar is later (SOURCE_DATE_EPOCH).
    With ``others_write`` a file that somebody has open for writing is recorded as racy: its stat proves nothing."""

@final
class UnpackedLayer:
    """Frozen."""

    diff_id: Final[bytes]
    size: Final[int]
    entries: Final[int]
    warnings: Final[list[str]]

def unpack_layer(
    rootfs: Rootfs,
    baseline: Baseline,
    fd: int,
    *,
    max_bytes: int | None = None,
    max_entries: int | None = None,
) -> UnpackedLayer:
    """Extracts an uncompressed layer from ``fd``, read to its end, whiteouts applied, and records every entry in ``baseline``."""

def read_tar_member(fd: int, name: bytes, limit: int) -> bytes | None:
    """One small regular member of an uncompressed tar, by its cleaned name. ``fd`` is seekable or not; it is read onwards."""

# stack.rs

@final
class LayerStack:
    """The root file system that layers make when they are unpacked in turn, known from their tars alone: nothing is written.

    Entries have inode numbers of its own: equal for the names of one hard link, of no other meaning."""

    def __new__(cls, *, digests: bool = True) -> LayerStack:
        """Of no layers. ``digests``: the sha256 of each file is taken; ``differences`` needs it."""
    def add(self, fd: int, *, max_bytes: int | None = None, max_entries: int | None = None) -> UnpackedLayer:
        """Lays an uncompressed layer, read to its end from ``fd``, on top. After an error the stack is of no use."""
    def fork(self) -> LayerStack:
        """A second stack of the same layers, to go on with differently."""
    def __len__(self) -> int:
        """Number of entries, the root not counted."""
    def resolve(self, path: bytes) -> bytes:
        """As ``Rootfs.resolve`` on the unpacked tree. A loop of links is ``OSError`` (ELOOP)."""
    def entry(self, path: bytes) -> Entry | None:
        """The entry at an exact relative path, no link followed."""
    def names(self, path: bytes) -> list[bytes]:
        """Sorted names in a directory, by its exact relative path."""
    def source(self, path: bytes) -> tuple[int, int] | None:
        """Where the content of a file is: the layer (0: the first added), the offset of its member for ``copy_member``."""
    def differences(self, other: LayerStack) -> list[Change]:
        """What leads from here to ``other``, sorted by path; of what is gone, the topmost path alone."""

def copy_member(fd: int, offset: int, output_fd: int) -> None:
    """Writes the content of the member at ``offset`` (bytes) of the uncompressed layer on ``fd``, read onwards from its start."""

# inotify.rs

@final
class Watches:
    """Recursive inotify watches over a rootfs, on a descriptor owned by the caller; one reader thread."""

    def __new__(cls, inotify_fd: int) -> Watches: ...
    def arm(self, rootfs: Rootfs, baseline: Baseline, *, budget: int | None = None) -> None:
        """Watches every directory of the baseline; in force on return. Past ``budget`` or the user's limit the rest is a loss."""
    def settle(self) -> HintSet:
        """Every hint and loss since arm, advance or the last settle. Covers all changes made before this call."""
    def advance(self, baseline: Baseline, changes: ChangeSet) -> None:
        """Watches follow directories that were created, moved or deleted; events up to here are accounted for."""
    def pause(self) -> None:
        """Stops the reader, so that a test can fill the queue."""
    def resume(self) -> None: ...
    def close(self) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def events(self) -> int:
        """Events read so far."""

# fanotify.rs

@final
class FilesystemMark:
    """One fanotify mark on the whole file system of a rootfs, and one reader thread."""

    @staticmethod
    def probe(rootfs: Rootfs) -> bool:
        """Tries it, down to an event that arrives. Whether the queue is unlimited, which only root of the host may have.

        ``OSError`` with the operation that is refused: fanotify_init, fanotify_mark, name_to_handle_at. ``RefusedError``
        if the file system's handles do not tell inode numbers, or no event comes."""
    def __new__(
        cls,
        rootfs: Rootfs,
        baseline: Baseline,
        *,
        unlimited: bool = True,
        backlog: int = 1 << 20,
        programs_on: Sequence[bytes] | None = None,
    ) -> FilesystemMark:
        """In force on return. ``unlimited``: the queue, if that is allowed. Errors as of ``probe``.

        ``backlog``: when more events wait to be read, no more are asked for until ``advance``, and the root is lost up to
        there (``flood``).

        ``programs_on``: processes are recorded, and absolute paths on the file systems whose programs are to be heard of
        when they start. That takes CAP_SYS_ADMIN in the initial user namespace: fanotify_init, EPERM."""
    def settle(self, baseline: Baseline) -> HintSet:
        """Every hint and loss since arming, advance or the last settle. Covers all changes made before this call.

        ``baseline`` is the one that was armed or advanced with: events name inodes, and it knows their paths."""
    def advance(self, baseline: Baseline, changes: ChangeSet) -> None:
        """Goes on with a new baseline, of which ``changes`` have become part; events up to here are accounted for."""
    def take_record(self) -> ProcessRecord | None:
        """Who did what, up to the last settle; None unless ``programs_on`` was given, and if it was taken already."""
    def pause(self) -> None:
        """Stops the reader, so that a test can fill the queue."""
    def resume(self) -> None: ...
    def close(self) -> None: ...
    @property
    def unlimited(self) -> bool: ...
    @property
    def events(self) -> int:
        """Events read so far, those about other files of the file system too."""

@final
class ProcessRecord:
    """Who did what in one step. Frozen."""

    def attribute(self, baseline: Baseline, changes: ChangeSet) -> list[tuple[bytes, list[int]]]:
        """The processes that touched each changed path, by number, sorted. ``baseline``: the one ``changes`` are relative to.

        A path that no process is known of is left out. What came with a directory that was moved in is its mover's."""
    @property
    def processes(self) -> list[Process]:
        """All that touched the tree, by number."""
    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out for want of room."""
    @property
    def unheard(self) -> list[bytes]:
        """Those of ``programs_on`` that are on file systems which cannot be marked."""

@final
class Process:
    """A process that touched the tree. Frozen."""

    @property
    def pid(self) -> int:
        """In our PID namespace; 0 stands for all that have no number there."""
    @property
    def programs(self) -> list[bytes]:
        """The files that it executed, in order: each program, the interpreter of a script, the loader. Absolute paths as they
        are for us; a name alone where the directory is gone or out of our sight."""
    @property
    def arguments(self) -> list[bytes] | None:
        """The words of the program that it was last seen with, as it showed them; None if it was not."""
    @property
    def state(self) -> _ProcessState:
        """What that rests on.

        ``seen``: it was looked at while it lived. ``started``: it had ended before that; its programs were heard of when
        they started. ``ended``: it had ended, and started no program since it was born. ``kernel``: a thread of the kernel.
        ``ambiguous``: its number may have been that of two processes, so no program is told. ``hidden``: it is in another
        PID namespace."""

# overlay.rs

def mount_overlay(rootfs: Rootfs, directory: bytes) -> Rootfs:
    """The merged view of an overlay over ``rootfs``, mounted nowhere: it is gone with the returned object.

    ``directory`` is an empty one on the same file system; upper and work directory are made in it and stay. ``rootfs`` is not to be
    written to any more. ``OSError``, or ``RefusedError`` with what the kernel says, if overlayfs cannot do it here."""

@final
class Upper:
    """The upper directory of a ``mount_overlay``: where the merged view may differ from the last baseline."""

    def __new__(cls, rootfs: Rootfs, baseline: Baseline) -> Upper:
        """``rootfs`` is the merged view, ``baseline`` describes it as it is. Holds a 0/0 device in the baseline against it."""
    def settle(self, baseline: Baseline) -> HintSet:
        """``baseline`` is the one as of the last ``advance``: it knows the names of inodes in the overlay's index."""
    def advance(self) -> None:
        """The baseline is right again."""

# ignore.rs, copy.rs

@final
class IgnorePatterns:
    """The patterns of a .dockerignore file, or of --exclude and --parents. A bad one is ``RefusedError``."""

    def __new__(cls, patterns: Sequence[bytes]) -> IgnorePatterns:
        """``!`` at the start of one takes back what those before it match. There are no comments."""
    @staticmethod
    def one(pattern: bytes) -> IgnorePatterns:
        """A single pattern, ``!`` at its start being nothing special."""
    def matches(self, path: bytes) -> bool:
        """Whether a relative path matches."""

@final
class Mode:
    """A --chmod value, octal or symbolic. A bad one is ``ValueError``."""

    def __new__(cls, text: str) -> Mode: ...

def expand(
    source: Rootfs, pattern: bytes, *, ignore: IgnorePatterns | None = None, exclude: IgnorePatterns | None = None
) -> list[bytes]:
    """Relative paths in ``source`` that a COPY source names, sorted and as spelled: Go's filepath.Match on the whole path if it
    holds a wildcard (no match: empty; a bad pattern: ``RefusedError``), else the path itself, cleaned (missing or ignored:
    ``FileNotFoundError``). Links on the way are followed inside the root; a path that is a link stays one, for ``copy`` to follow.
    ``exclude``: what of a wildcard's matches, by the last part, is none."""

@final
class Content:
    """Frozen. What COPY would take."""

    digest: Final[bytes]  # equal for equal copies
    listing: Final[bytes]  # what that was made of, for ``listing_differences``: some 300 KiB at most

def content(
    source: Rootfs,
    paths: Sequence[bytes],
    *,
    ignore: IgnorePatterns | None = None,
    include: IgnorePatterns | None = None,
    exclude: IgnorePatterns | None = None,
    owners: bool,
    context: bool = True,
    known: KnownContents | None = None,
) -> Content:
    """The digest is over names, kinds, modes, link targets, xattrs and contents (with ``owners``, uid and gid) of what COPY would
    take from ``paths``; no times. A file that ``known`` has is not opened, others it learns. The other parameters as for ``copy``."""

@final
class KnownContents:
    """What was read of a build context before: digests of files, each with the stat that proves it as long as the file system stays
    mounted. A file is learned only while nobody has it open for writing, and on ext4, xfs and btrfs alone. For any number of
    threads."""

    def __new__(cls, context: Rootfs, saved: bytes | None = None) -> KnownContents:
        """``saved`` is the path of what ``save`` wrote: nothing is known if that was on another file system. ``RefusedError`` where it
        holds anything else."""
    @property
    def learned(self) -> int:
        """How many files were learned since."""
    def save(self, path: bytes) -> None:
        """Writes all that is known now to a new file."""

@final
class ListingDifference:
    """Frozen."""

    path: Final[bytes]  # as spelled in ``paths``, and below it
    what: Final[list[str]]  # added removed kind content target mode owner xattrs rdev links below

def listing_differences(before: bytes, after: bytes, most: int) -> tuple[list[ListingDifference], int]:
    """Of two listings: the first ``most`` by path, and how many there are. ``below``: something in a directory of which no more is
    recorded. ``RefusedError`` for what is no listing."""

@final
class Copied:
    """Frozen."""

    paths: Final[list[bytes]]  # every path COPY or ADD lists, sorted: files, directories made or given metadata
    led_through: Final[list[bytes]]  # those of them that were made to lead to what is copied
    files: Final[int]
    size: Final[int]  # bytes of their content
    warnings: Final[list[str]]

def copy(
    source: Rootfs,
    paths: Sequence[bytes],
    rootfs: Rootfs,
    dest: bytes,
    *,
    ignore: IgnorePatterns | None = None,
    include: IgnorePatterns | None = None,
    exclude: IgnorePatterns | None = None,
    owner: tuple[int, int] | None = None,
    mode: Mode | None = None,
    context: bool = True,
) -> Copied:
    """COPY: ``paths`` of ``source`` to ``dest`` (as spelled, WORKDIR joined, a trailing slash kept) in ``rootfs``.

    ``owner`` None keeps the source's ids. Existing directories that are not listed get their mtime back. What cannot lie on what
    is there (a directory on a file, a file on a directory) is ``RefusedError``. ``context``: the source is a build context, so
    sockets become empty files and devices are skipped; if not, it is a stage, whose devices are made anew and sockets skipped.
    ``ignore`` is relative to ``source``; ``include`` (only what matches, and the directories above it) and ``exclude`` are to each
    directory in ``paths``.
    """

def add_archive(
    rootfs: Rootfs,
    dest: bytes,
    fd: int,
    *,
    owner: tuple[int, int] | None = None,
    max_bytes: int | None = None,
    max_entries: int | None = None,
) -> Copied:
    """ADD of an archive: extracts the uncompressed tar on ``fd`` into directory ``dest``. Limits as for ``unpack_layer``."""

# sandbox.rs

@final
class Mount:
    """Something mounted for one RUN. Frozen. ``target`` is an absolute path in the rootfs; links in it are followed inside.

    A mount point that is missing is made for the run and removed after it, also in a tree that is mounted above it."""

    @staticmethod
    def file(
        target: bytes, content: bytes, *, mode: int = 0o644, uid: int = 0, gid: int = 0, optional: bool = False
    ) -> Mount:
        """A read-only file in memory. ``optional``: left out where the sandbox has its own things, or a read-only mount lacks it."""
    @staticmethod
    def tree(target: bytes, source: Rootfs, path: bytes, *, writable: bool) -> Mount:
        """The directory, file or socket at an exact relative path of ``source``; no device in it opens anything."""
    @staticmethod
    def tmpfs(target: bytes, *, size: int | None = None, writable: bool = True) -> Mount:
        """An empty directory in memory of at most ``size`` bytes (default: the kernel's, half of the memory)."""

@final
class RunSpec:
    """What to run and as whom. Frozen. Everything the process sees is in here: nothing comes from the host."""

    def __new__(
        cls,
        argv: Sequence[bytes],
        env: Sequence[bytes],
        cwd: bytes,
        *,
        uid: int = 0,
        gid: int = 0,
        groups: Sequence[int] = ...,
        hostname: bytes | None = None,
        mounts: Sequence[Mount] = ...,
        loopback_only: bool = False,
        insecure: bool = False,
        shm_size: int | None = None,
        limits: Sequence[tuple[int, int, int]] = ...,
        witness: bool = False,
        emulators: Emulators | None = None,
    ) -> RunSpec:
        """``argv[0]`` is looked up on env's PATH (default: Docker's) in the rootfs. ``mounts`` are mounted sorted by target, parents
        first; of two with one target the later one is on top. ``loopback_only``: a network of its own, else the host's.
        ``insecure``: all capabilities of the caller, every device, /proc and /sys as they are. ``shm_size``: bytes of /dev/shm
        (default: 64 MiB). ``limits``: RLIMIT number, soft, hard. ``witness``: hard links are counted. ``emulators``: what runs
        programs of other machines; it takes power over the host's devices and network from the command."""

@final
class Emulators:
    """A user namespace with all our IDs and a binfmt_misc of its own (Linux 6.7); what is registered there goes with this object."""

    def __new__(cls, registrations: Sequence[bytes]) -> Emulators:
        """Each is a line for ``register``. OSError where there can be no such namespace."""

@final
class Sandbox:
    """A running RUN: its own mount, PID, IPC and UTS namespaces, pivot_root, Docker's default capabilities."""

    @property
    def pidfd(self) -> int: ...
    @property
    def pid(self) -> int: ...
    def wait(self) -> int:
        """Blocks until the whole tree is dead. Exit status as a shell gives it: code, or 128 + signal."""
    def is_written(self) -> bool:
        """Whether nobody has a file of its root file system open for writing any more. To be asked when ``wait`` has returned."""
    def close(self) -> None:
        """Takes away untouched mount points, when ``wait`` has returned. ``OSError`` names the one that stays."""
    @property
    def links_made(self) -> int | None:
        """Once ``wait`` has returned: no more hard links than this were made. None: nobody watched, or could."""
    def kill(self) -> None:
        """SIGKILL to all of it."""

def spawn(
    rootfs: Rootfs,
    spec: RunSpec,
    stdout_fd: int,
    stderr_fd: int,
    *,
    stdin_fd: int | None = None,
    terminal: bool = False,
) -> Sandbox:
    """Starts it with copies of these descriptors; without ``stdin_fd`` its input is /dev/null. ``terminal``: that one is a terminal
    of nobody else, and becomes the one that controls the command. A setup that fails is ``OSError`` with the operation that failed; a command that cannot be executed too
    (``operation`` "execve"). Needs root. The kernel kills the tree when the calling thread ends: wait in the same one."""

# command.rs

@final
class HostCommand:
    """A child of this process on the host itself, with its standard streams, environment and process group."""

    def __new__(cls, argv: Sequence[bytes], *, cwd: bytes | None, witness: bool) -> HostCommand:
        """Starts it, searched as by execvp(3). ``OSError`` with operation "execve" is about the command. This process adopts
        whatever outlives its parent below it, until ``testify``: its caller waits for all of them. ``witness`` without
        CAP_SYS_ADMIN sets no_new_privs."""
    @property
    def pid(self) -> int: ...
    def testify(self) -> int | None:
        """To be called when all of it is dead; as ``Sandbox.links_made``."""

# witness.rs

def probe_link_witness() -> None:
    """Returns if hard links can be counted here; else ``OSError``: EBUSY under another seccomp listener, ENOSYS, EINVAL, ..."""

# clock.rs

def is_multigrain(directory: bytes) -> bool:
    """Whether the file system of ``directory`` gives every change after a stat a new ctime (Linux 6.13)."""

# kernel.rs

@final
class RefusedCall:
    """A system call that is not to be had. Frozen."""

    @property
    def name(self) -> str: ...
    @property
    def since(self) -> str: ...  # the first Linux that has it: "5.6"
    @property
    def errno(self) -> int: ...  # ENOSYS: not in this kernel, or hidden; EPERM, EACCES: refused by a seccomp profile

def refused_calls(*, for_run: bool) -> list[RefusedCall]:
    """Of the calls that every step on files needs, or else of those that isolating a RUN needs, the ones that cannot be had.
    A few microseconds. Without CAP_SYS_ADMIN the kernel itself refuses those that mount."""
