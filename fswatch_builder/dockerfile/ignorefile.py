"""Reading a ``.dockerignore``. Matching is the native core's: ``IgnorePatterns`` takes what this module returns."""

import os
import posixpath
import stat

from fswatch_builder.errors import BuildContextError, Location

#: Bytes. An ignore file is written by hand; one that is larger is something else.
MAX_SIZE = 4 << 20

_BOM = b"\xef\xbb\xbf"


def read_ignore(context_dir: bytes, dockerfile: bytes | None, named: bytes | None = None) -> list[bytes]:
    """The patterns of the file ``named``, else of ``<dockerfile>.dockerignore``, else of the context's
    ``.dockerignore``, else none.

    ``dockerfile`` is the path of the Dockerfile as one opens it; None: nothing but ``named`` counts. Raises
    :class:`BuildContextError` for a file that was named and is not there, that cannot be read, or that holds a pattern
    that cannot be one.
    """
    if named is not None:
        content = _read(named)
        if content is None:
            raise BuildContextError(f"there is no ignore file {os.fsdecode(named)}", hint="check --ignorefile")
        return patterns(content, os.fsdecode(named))
    if dockerfile is None:
        return []
    for path in (dockerfile + b".dockerignore", os.path.join(context_dir, b".dockerignore")):
        content = _read(path)
        if content is not None:
            return patterns(content, os.fsdecode(path))
    return []


def patterns(content: bytes, name: str) -> list[bytes]:
    """Patterns, trimmed, cleaned and relative, in their order; ``!`` first where one includes again.

    A ``#`` makes a comment in the first column only. ``name`` is for messages.
    """
    found: list[bytes] = []
    for number, line in enumerate(content.removeprefix(_BOM).split(b"\n"), 1):
        if line.startswith(b"#"):
            continue
        pattern = line.strip()
        if not pattern:
            continue
        again = pattern.startswith(b"!")
        if again:
            pattern = pattern[1:].strip()
            if not pattern:
                raise BuildContextError('illegal exclusion pattern: "!"', where=Location(name, number))
        found.append((b"!" if again else b"") + _clean(pattern))
    return found


def _clean(pattern: bytes) -> bytes:
    cleaned = posixpath.normpath(pattern)
    return cleaned.lstrip(b"/") or b"/"


def _read(path: bytes) -> bytes | None:
    shown = os.fsdecode(path)
    try:
        # O_NONBLOCK: a FIFO of that name must not hang the build.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BuildContextError(f"the ignore file {shown} is not a regular file")
            content = file.read(MAX_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BuildContextError(f"cannot read the ignore file {shown}: {error.strerror}") from error
    if len(content) > MAX_SIZE:
        raise BuildContextError(f"the ignore file {shown} is larger than {MAX_SIZE >> 20} MiB")
    return content
