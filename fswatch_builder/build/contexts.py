"""A build context, wherever it comes from, ends as a directory; and with it the Dockerfile.

DIR                  the directory itself
FILE                 a tar, in any compression we read, unpacked
-                    standard input: a tar, or a lone Dockerfile
http(s)://...        a tar, or a lone Dockerfile
git repository       its files
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from posixpath import normpath
from typing import BinaryIO, Final

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder._native import ArchiveError, RefusedError, Rootfs, add_archive, remove_tree
from fswatch_builder.build.events import Events, StepFinished, StepStarted
from fswatch_builder.errors import BuildContextError, DockerfileError, UsageError
from fswatch_builder.model.remote import GitTree, HttpFile, Remote
from fswatch_builder.oci.compression import decompressed, is_archive
from fswatch_builder.oci.decoding import CompressionError
from fswatch_builder.oci.limits import USUAL, UnpackLimits
from fswatch_builder.remote.address import remote_context, shown
from fswatch_builder.remote.credentials import ANONYMOUS, Credentials

#: Bytes. A Dockerfile is written by hand; one that is larger is something else.
LARGEST_DOCKERFILE: Final = 16 << 20

_STDIN: Final = "-"
_COPY: Final = 1 << 20
#: The number of the step that fetches a context: those of the Dockerfile count from 1.
_NUMBER: Final = 0

#: A new directory, gone at the end.
Workspace = Callable[[], AbstractContextManager[str]]


class Context(Struct, frozen=True):
    """``directory`` has the files, which came from ``origin``: a directory's path, or what the user gave, without a
    password. ``dockerfile`` is a path, or what messages call the Dockerfile if ``text`` is it.

    ``ignores``: an ignore file counts. As in BuildKit it does for directories of the user's, not for what is sent or
    fetched. ``made``: when it was made, if what it came from says that: seconds since 1970.
    """

    directory: str
    origin: str
    dockerfile: str
    text: bytes | None = None
    ignores: bool = True
    made: int | None = None


class Fetching(Struct, frozen=True):
    """How a context is brought. With ``keep_git_dir`` a repository brings its ``.git`` along; ``limits`` hold for what
    an archive unpacks to, and its size for a download. ``dated``: somebody asks when it was made.
    """

    keep_git_dir: bool = False
    credentials: Credentials = ANONYMOUS
    limits: UnpackLimits = USUAL
    dated: bool = False


@contextmanager
def open_context(
    spec: str,
    file: str | None,
    stdin: BinaryIO,
    workspace: Workspace,
    events: Events,
    how: Fetching,
) -> Iterator[Context]:
    """The context that ``spec`` means, and its Dockerfile: ``file``, where ``-`` is ``stdin``.

    What has to be unpacked or fetched lies in a
    ``workspace``, and goes at the end. Raises UsageError, BuildContextError, DockerfileError.
    """
    if spec == file == _STDIN:
        raise UsageError("context and Dockerfile cannot both come from standard input")
    text = _read_text(stdin, "standard input") if file == _STDIN else None
    if os.path.isdir(spec):
        directory = os.path.abspath(spec)
        yield Context(directory, directory, "stdin" if text is not None else find_dockerfile(directory, file), text)
        return
    with workspace() as place:
        brought = _bring(spec, stdin, place, events, how)
        directory, name, lone = brought.directory, brought.name, brought.lone
        if lone is not None and file is not None:
            raise UsageError(
                f"{name} is a Dockerfile, and so is --file {file}", hint="leave one out, or give a context with files"
            )
        if text is None and lone is None:
            path = find_dockerfile(directory, None if file is None else _inside(directory, file), name)
            text = read_dockerfile(path, directory)
            name = file or os.path.basename(path)
        elif text is not None:
            name = "stdin"
        origin = os.path.abspath(spec) if os.path.isfile(spec) else shown(spec)
        yield Context(directory, origin, name, text if lone is None else lone, ignores=False, made=brought.made)


@contextmanager
def temporary() -> Iterator[str]:
    """A ``Workspace`` for whoever has no store."""
    from tempfile import mkdtemp

    directory = mkdtemp(prefix="fswatch-builder-")
    try:
        yield directory
    finally:
        remove_tree(os.fsencode(directory))


class _Brought(Struct, frozen=True):
    """A directory and what messages call it. ``lone``: the Dockerfile, if that is all there was."""

    directory: str
    name: str
    lone: bytes | None
    made: int | None


def _bring(spec: str, stdin: BinaryIO, place: str, events: Events, how: Fetching) -> _Brought:
    if spec == _STDIN:
        path = os.path.join(place, "stdin")
        with open(path, "xb") as copy:
            while chunk := stdin.read(_COPY):
                copy.write(chunk)
        return _unpacked(path, "stdin", place, how)
    try:
        remote = remote_context(spec)
    except ValueError as error:
        raise UsageError(f"the context {shown(spec)} cannot be used: {error}") from error
    if how.keep_git_dir and isinstance(remote, GitTree):
        remote = replace(remote, keep_git_dir=True)
    if remote is not None:
        with _told(f"load the build context from {shown(spec)}", events):
            return _fetched(remote, shown(spec), place, how)
    if os.path.isfile(spec):
        brought = _unpacked(os.path.abspath(spec), spec, place, how)
        if brought.lone is None:
            return brought
    what = "neither a directory nor an archive" if os.path.lexists(spec) else "not there"
    raise UsageError(
        f"the context {spec} is {what}",
        hint="a context is a directory, a tar archive, a URL of one or of a git repository, or - for standard input",
    )


def _fetched(remote: Remote, name: str, place: str, how: Fetching) -> _Brought:
    from fswatch_builder.remote import git, http

    if isinstance(remote, HttpFile):
        path = os.path.join(place, "download")
        found = http.download(remote, path, how.credentials, how.limits.size)
        brought = _unpacked(path, name, place, how)
        return replace(brought, made=found.modified or brought.made)
    commit = git.resolve(remote, how.credentials)
    files = git.check_out(remote, commit, os.path.join(place, "context"), how.credentials)
    return _Brought(os.fsdecode(files.rootfs.path), name, None, files.committed)


def _unpacked(path: str, name: str, place: str, how: Fetching) -> _Brought:
    directory = os.path.join(place, "context")
    os.mkdir(directory, 0o755)
    if is_archive(path):
        unpack(path, name, directory, how.limits)
        return _Brought(directory, name, None, _newest_member(path, name) if how.dated else None)
    with open(path, "rb") as file:
        return _Brought(directory, name, _read_text(file, name), None)


def _newest_member(path: str, name: str) -> int | None:
    """When the newest member of an archive was changed; None if there is none."""
    import tarfile

    try:
        with (
            decompressed(path) as plain,
            open(plain, "rb", closefd=False) as file,
            tarfile.open(fileobj=file, mode="r|") as tar,
        ):
            return max((int(member.mtime) for member in tar), default=None)
    except tarfile.TarError as error:
        raise BuildContextError(f"{name}: its newest member cannot be found: {error}") from error


def unpack(path: str, name: str, directory: str, limits: UnpackLimits) -> None:
    """A tar, into an empty directory, all of it the user's own. Nothing in it leads out. Raises BuildContextError."""
    try:
        most = limits.bytes_from(os.stat(path).st_size)
        with decompressed(path, max_bytes=most) as plain:
            add_archive(
                Rootfs(os.fsencode(directory)),
                b"/",
                plain,
                owner=(os.geteuid(), os.getegid()),
                max_bytes=most,
                max_entries=limits.entries,
            )
    except (ArchiveError, CompressionError, RefusedError) as error:
        raise BuildContextError(f"{name} cannot be unpacked: {error}") from error
    except OSError as error:
        raise BuildContextError(f"{name} cannot be unpacked: {error.strerror or error}") from error


def _read_text(file: BinaryIO, name: str) -> bytes:
    content = file.read(LARGEST_DOCKERFILE + 1)
    if len(content) > LARGEST_DOCKERFILE:
        raise DockerfileError(f"the Dockerfile from {name} is larger than {LARGEST_DOCKERFILE >> 20} MiB")
    return content


def _inside(directory: str, file: str) -> str:
    """A path of the command line, in a context that is not the user's directory."""
    return os.path.join(directory, normpath("/" + file).lstrip("/"))


@contextmanager
def _told(title: str, events: Events) -> Iterator[None]:
    started = time.monotonic()
    events.emit(StepStarted(_NUMBER, "internal", 0, 0, title))
    done = False
    try:
        yield
        done = True
    finally:
        events.emit(StepFinished(_NUMBER, "done" if done else "failed", time.monotonic() - started))


def find_dockerfile(context: str, name: str | None, shown: str | None = None) -> str:
    """The file asked for, else ``Dockerfile``, else ``dockerfile`` of the context, which messages call ``shown``."""
    if name is not None:
        return name
    for candidate in ("Dockerfile", "dockerfile"):
        path = os.path.join(context, candidate)
        if os.path.exists(path):
            return path
    raise DockerfileError(
        f"there is no Dockerfile in {shown or context}", hint="name it with -f FILE, or give another context"
    )


def read_dockerfile(path: str, context: str) -> bytes:
    """Its bytes. Raises DockerfileError.

    One in the context may come from someone else, and an error shows lines of it. So a link there must not lead out: of
    ``Dockerfile -> ~/.ssh/id_rsa``, built by a pipeline, the log would show the key.
    """
    if _is_below(os.path.abspath(path), os.path.abspath(context)):
        real = os.path.realpath(path)
        if not _is_below(real, os.path.realpath(context)):
            raise DockerfileError(
                f"the Dockerfile {path} is a link that leads out of the context, to {real}",
                hint="if you trust it, name the file itself with -f FILE",
            )
        if os.path.exists(real) and not os.path.isfile(real):  # a FIFO would make us wait for ever
            raise DockerfileError(f"the Dockerfile {path} is not a file")
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_DOCKERFILE + 1)
    except OSError as error:
        raise DockerfileError(f"cannot read the Dockerfile {path}: {error.strerror}") from error
    if len(content) > LARGEST_DOCKERFILE:
        raise DockerfileError(f"the Dockerfile {path} is larger than {LARGEST_DOCKERFILE >> 20} MiB")
    return content


def _is_below(path: str, directory: str) -> bool:
    return os.path.commonpath([path, directory]) == directory
