"""Runs shell commands in a root file system and keeps what they print."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, Unpack

from msgspec.structs import replace

from fswatch_builder._native import Mount, Rootfs
from fswatch_builder.model.sandbox import Network, SandboxOptions, Security
from fswatch_builder.runtime.run import Command, Outcome, Stream, run

PATH = "PATH=/bin"


@dataclass
class Recorder:
    """An output that remembers."""

    writes: list[tuple[Stream, bytes]] = field(default_factory=list)

    def write(self, stream: Stream, data: bytes) -> None:
        self.writes.append((stream, data))

    def text(self, stream: Stream = "stdout") -> str:
        return b"".join(data for name, data in self.writes if name == stream).decode()


def shell(script: str, *, user: str = "", env: tuple[str, ...] = (PATH,), cwd: str = "/") -> Command:
    return Command(("/bin/sh", "-c", script), env, cwd, user)


class How(TypedDict, total=False):
    """Fields of a `Command` that a script may want otherwise."""

    cwd: str
    mounts: tuple[Mount, ...]
    network: Network
    security: Security
    options: SandboxOptions


def attempt(rootfs: Rootfs, script: str, *, user: str = "", **how: Unpack[How]) -> tuple[Outcome, Recorder]:
    recorder = Recorder()
    return run(rootfs, replace(shell(script, user=user), **how), recorder), recorder


def says(rootfs: Rootfs, script: str, *, user: str = "", **how: Unpack[How]) -> str:
    """What a script that must succeed prints; ``how`` are other fields of its `Command`."""
    outcome, recorder = attempt(rootfs, script, user=user, **how)
    assert outcome.exit_code == 0, outcome.tail
    return recorder.text()


def inhabitants(root: Path) -> list[int]:
    """Processes whose root directory is ``root``, in whatever mount namespace they are."""
    identity = (root.stat().st_dev, root.stat().st_ino)
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = os.stat(f"/proc/{name}/root")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            # Gone meanwhile; or guarded by the host from root itself, which no child of ours is.
            continue
        if (stat.st_dev, stat.st_ino) == identity:
            found.append(int(name))
    return found
