"""What ``RUN --mount`` asks for, variables expanded and defaults filled in. Targets are absolute and clean."""

from typing import Literal

from msgspec import Struct

from fswatch_builder.model.plan import CopySource, Scratch

Sharing = Literal["shared", "private", "locked"]

#: What a mount takes files from.
MountSource = CopySource | Scratch


class BindMount(Struct, frozen=True):
    """Files of a stage, an image or a context. What is written to it (``writable``) vanishes after the RUN."""

    target: str
    origin: MountSource
    source: str = "/"  # in ``origin``: a directory or a file
    writable: bool = False


class CacheMount(Struct, frozen=True):
    """A directory that outlives builds and is in no layer. A new one begins with what ``source`` of ``origin`` holds.

    Without ``origin``, ``source`` is a directory of the cache itself.
    """

    target: str
    id: str
    sharing: Sharing = "shared"
    origin: MountSource | None = None
    source: str = "/"
    mode: int | None = None  # of a new one, like its owner: those of ``source``, else 0755 and root
    uid: int | None = None
    gid: int | None = None
    writable: bool = True


class TmpfsMount(Struct, frozen=True):
    """An empty directory in memory, of at most ``size`` bytes; None leaves it to the kernel."""

    target: str
    size: int | None = None
    writable: bool = True


class SecretMount(Struct, frozen=True):
    """A secret of the command line as a file, as a variable of the environment, or as both."""

    id: str
    target: str | None
    env: str | None = None
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


class SshMount(Struct, frozen=True):
    """The socket of an SSH agent that the command line names."""

    id: str
    target: str
    required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Mount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount
