"""What the core and the system report, told as errors of a build."""

import errno
import os

from fswatch_builder._native import ArchiveError, RefusedError
from fswatch_builder.errors import BuildContextError, BuildError, Location, OutputError, SandboxError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def explained(error: Exception, where: Location) -> Exception:
    """The error with its place in the Dockerfile. What is neither the user's nor the system's doing stays as it is: a
    bug.
    """
    if isinstance(error, BuildError):
        return error.at(where)
    if isinstance(error, RefusedError | ArchiveError):
        return BuildContextError(f"{_path(error.path)}: {error.reason}", where=where)
    if isinstance(error, OSError):
        return _system_error(error, where)
    return error


def _system_error(error: OSError, where: Location) -> BuildError:
    what = f"{_path(error.filename)}: {reason(error)}"
    if error.errno in _FULL:
        return OutputError(
            what, where=where, hint="free space on the disk of the store, or choose another with --store"
        )
    if error.errno == errno.EINVAL and getattr(error, "operation", "") in ("fchown", "fchownat"):
        return SandboxError(
            f"{what}: its owner does not exist here",
            where=where,
            hint="this user namespace has too few IDs: map a range of them into it (/etc/subuid, newuidmap)",
        )
    return BuildError(what, where=where)


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
    return path if isinstance(path, str) and path else "the system"
