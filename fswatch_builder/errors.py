"""Every error a user can meet, each with its own exit status.

BuildError
├── UsageError            2   the command line, an option's value, an environment variable
├── DockerfileError       3   the Dockerfile: syntax, an unknown or unsupported instruction, a missing stage
├── BuildContextError     4   a COPY or ADD source, the context, a named context, an ignore file
├── BaseImageError        5   a base image, or one a command names: not found, damaged, for another platform
├── RegistryError         6   a registry: unreachable, refused, wrong answer
├── RunError              1   a RUN ended with a status other than 0 (as docker build exits)
├── TrackingError         7   the tracker asked for cannot work here
├── SandboxError          8   no namespaces, no rights: what is missing and how to get it
├── OutputError           9   an output or the store could not be written
├── StoreError           10   the local store is damaged or cannot be used
├── AuditError           11   --audit: what was found or recorded is not what the oracle sees
└── CommandError   126, 127   a command to be tracked, or run in an image, cannot be executed, is not there
Interrupted             130   Ctrl-C (143 for SIGTERM, 129 for SIGHUP)
"""

from msgspec import Struct


class Location(Struct, frozen=True):
    """A place in a Dockerfile. Lines and columns count from 1."""

    file: str
    line: int
    column: int = 1
    end_line: int | None = None

    def __str__(self) -> str:
        if self.end_line is not None and self.end_line != self.line:
            return f"{self.file}:{self.line}-{self.end_line}"
        return f"{self.file}:{self.line}"


class BuildError(Exception):
    """What went wrong, where, why, and what to do: one message, no stack trace."""

    exit_status = 1

    def __init__(self, what: str, *, where: Location | None = None, hint: str | None = None) -> None:
        """``what`` is one sentence without a full stop; ``hint`` tells the way out."""
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        #: Of the Dockerfile, where it cannot be read once more from the file that ``where`` names.
        self.text: bytes | None = None

    def at(self, where: Location) -> "BuildError":
        """The same error with its place, unless it knows one already."""
        if self.where is None:
            self.where = where
        return self


class UsageError(BuildError):
    """The command line is wrong."""

    exit_status = 2


class DockerfileError(BuildError):
    """The Dockerfile is wrong, or asks for something that is not supported."""

    exit_status = 3


class BuildContextError(BuildError):
    """A source of COPY or ADD, or a context, cannot be used."""

    exit_status = 4


class BaseImageError(BuildError):
    """An image, a base or one that a command names, cannot be used."""

    exit_status = 5


class RegistryError(BuildError):
    """A registry could not be reached, refused, or gave a wrong answer."""

    exit_status = 6


class RunError(BuildError):
    """A RUN failed."""

    exit_status = 1

    def __init__(
        self, what: str, *, code: int, tail: str = "", where: Location | None = None, hint: str | None = None
    ) -> None:
        """``code`` is the command's own exit status, ``tail`` the last lines it printed."""
        super().__init__(what, where=where, hint=hint)
        self.code = code
        self.tail = tail


class TrackingError(BuildError):
    """The tracker asked for cannot work here."""

    exit_status = 7


class SandboxError(BuildError):
    """The host does not let us isolate a RUN."""

    exit_status = 8


class OutputError(BuildError):
    """An output or the store could not be written."""

    exit_status = 9


class StoreError(BuildError):
    """The local store is damaged or cannot be used."""

    exit_status = 10


class AuditError(BuildError):
    """A second opinion differs from what was found: the result cannot be trusted, and a bug is to be reported."""

    exit_status = 11


class CommandError(BuildError):
    """A command of the host, or of an image, could not be started."""

    def __init__(self, what: str, exit_status: int) -> None:
        """``exit_status`` is 127 for a command that is not there, else 126."""
        super().__init__(what)
        self.exit_status = exit_status
