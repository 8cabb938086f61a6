"""Running a command in an image: a scratch root file system, the build's sandbox, and nothing left behind."""

import os
import posixpath
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder._native import Rootfs
from fswatch_builder.build.failures import system_errors
from fswatch_builder.build.kept_bases import KeptBases
from fswatch_builder.build.meter import SILENT
from fswatch_builder.build.worksite import Base, Worksite
from fswatch_builder.errors import BaseImageError, RunError, UsageError
from fswatch_builder.model.image import Image, RunConfig
from fswatch_builder.model.sandbox import Network
from fswatch_builder.oci.store import Store
from fswatch_builder.runtime import host
from fswatch_builder.runtime.attached import Attachment, run_attached
from fswatch_builder.runtime.emulation import prepare
from fswatch_builder.runtime.run import Command

TERMINAL_TYPE = "xterm"
"""What Docker says of a terminal it makes."""


class Wish(Struct, frozen=True):
    """What the user wants run otherwise than the image says; None and empty are as the image has it."""

    words: tuple[str, ...] = ()
    """In the place of Cmd."""
    entrypoint: str | None = None
    """In the place of Entrypoint; Cmd is dropped then. Empty: there is none."""
    env: tuple[str, ...] = ()
    user: str = ""
    cwd: str = ""
    hostname: str | None = None
    network: Network = "default"
    """``none``: its own, with a loopback; else the host's."""


def command_of(config: RunConfig, wish: Wish, *, hostname: str, terminal: bool) -> Command:
    """What is run, by Docker's rules. Raises UsageError if there is nothing to run, BaseImageError for what no process
    can be given.
    """
    if wish.entrypoint is None:
        entrypoint, cmd = config.entrypoint or (), config.cmd or ()
    else:
        entrypoint, cmd = ((wish.entrypoint,) if wish.entrypoint else ()), ()
    argv = (*entrypoint, *(wish.words or cmd))
    if not argv or not argv[0]:
        raise UsageError("no command: the image has neither ENTRYPOINT nor CMD", hint="give one behind IMAGE")
    defaults = [f"HOSTNAME={hostname}", *([f"TERM={TERMINAL_TYPE}"] if terminal else [])]
    if any("\0" in text for text in (*argv, *config.env, config.working_dir)):
        raise BaseImageError("the image's configuration has a NUL byte in a command, a variable or a directory")
    return Command(
        argv=argv,
        env=_environment([*defaults, *config.env, *wish.env]),
        cwd=posixpath.normpath("/" + (wish.cwd or config.working_dir).lstrip("/")),
        user=wish.user or config.user,
        hostname=hostname,
        network=wish.network,
    )


def _environment(items: Sequence[str]) -> tuple[str, ...]:
    """The last of equal names wins, in the place of the first. What is no ``NAME=value`` is nothing."""
    found: dict[str, str] = {}
    for item in items:
        name, equals, _ = item.partition("=")
        if name and equals:
            found[name] = item
    return tuple(found.values())


def run_image(store: Store, image: Image, name: str, wish: Wish, attachment: Attachment) -> int:
    """Runs a command in a fresh root file system of ``image``, which is called ``name``: its exit status as a shell
    gives it. What it changes is gone afterwards; what is unpacked stays as it does after a build.

    Raises what belongs to it: UsageError, BaseImageError, RunError, SandboxError, OutputError.
    """
    hostname = wish.hostname or os.urandom(6).hex()
    command = command_of(image.config, wish, hostname=hostname, terminal=attachment.terminal)
    host.check()  # before anything is unpacked for it
    with store.workspace() as directory:
        emulation = prepare(image.platform, directory)
    if emulation is not None:
        command = replace(command, emulators=emulation.emulators)
    # Its standard error is the command's: what became of a kept base is left to builds to tell.
    with KeptBases(store, SILENT) as kept, Worksite(store, "scan", kept) as site:
        site.base = Base(image.layers, name)
        with system_errors():
            site.bring_to(image.layers)
        _ensure_directory(site.rootfs, command.cwd)
        return run_attached(site.rootfs, command, attachment)


def _ensure_directory(rootfs: Rootfs, path: str) -> None:
    """As Docker does, a working directory that is not there is made, and is root's."""
    try:
        if rootfs.entry(rootfs.resolve(os.fsencode(path))) is None:
            rootfs.make_directory(os.fsencode(path), 0, 0)
    except OSError as error:
        raise RunError(f"cannot make the working directory {path}: {error.strerror}", code=126) from error
