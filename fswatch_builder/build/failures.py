"""What the core and the system report, told as errors of a build."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fswatch_builder._native import ArchiveError, RefusedError
from fswatch_builder.errors import BuildContextError, BuildError, Location, OutputError, SandboxError

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_OF_THE_SYSTEM: Final = (
    *_FULL,
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EIO, errno.ESTALE),
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE),
)


def explained(error: Exception, where: Location) -> Exception:
    """The error with its place in the Dockerfile. What is neither the user's nor the system's doing stays as it is: a
    bug.
    """
    if isinstance(error, BuildError):
        return error.at(where)
    if isinstance(error, RefusedError | ArchiveError):
        return BuildContextError(f"{_path(error.path)}: {error.reason}", where=where)
    if isinstance(error, OSError):
        return system_error(error).at(where)
    return error


def is_of_the_system(error: OSError) -> bool:
    """Whether no program can help it: a full or failing disk, rights, limits of the process or the machine."""
    return error.errno in _OF_THE_SYSTEM


@contextmanager
def system_errors() -> Iterator[None]:
    """What the system refuses in the block is told as an error of the build. A reader that went away is none."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise system_error(error) from error


def system_error(error: OSError) -> BuildError:
    """What the system refused, with a way out where there is one."""
    path = _path(error.filename)
    what = f"{path}: {reason(error)}" if path else reason(error)
    if error.errno in _FULL:
        return OutputError(what, hint="free space on the disk of the store, or choose another with --store")
    if error.errno == errno.EINVAL and getattr(error, "operation", "") in ("fchown", "fchownat"):
        return SandboxError(
            f"{what}: its owner does not exist here",
            hint="this user namespace has too few IDs: map a range of them into it (/etc/subuid, newuidmap)",
        )
    return BuildError(what)


def reason(error: OSError) -> str:
    """Why, in the system's words, and in which call where the core tells."""
    if error.errno is None:
        return str(error)
    operation = getattr(error, "operation", None)
    return os.strerror(error.errno) + (f" ({operation})" if operation else "")


def _path(path: object) -> str:
    """The core's paths are bytes below a root; those of the host are text."""
    if isinstance(path, bytes):
        return "/" + os.fsdecode(path)
    return path if isinstance(path, str) else ""
