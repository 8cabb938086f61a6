"""Whether an overlay can stand for a root file system: mounted, and tried for what exactness hangs on."""

import os
from tempfile import mkdtemp

from fswatch_builder._native import RefusedError, Rootfs, mount_overlay, remove_tree

PREFIX = "overlay-"
"""Directories with the layers of an overlay are called so."""


def obstacle(directory: str) -> str | None:
    """Why no overlay can have its layers in ``directory``; None if it can. Nothing is left there."""
    try:
        scratch = mkdtemp(prefix=PREFIX, dir=directory)
        try:
            wrong = _wrong(scratch)
        finally:
            remove_tree(os.fsencode(scratch))
    except (OSError, RefusedError) as error:
        return f"no overlay on this file system: {cause(error)}"
    return None if wrong is None else f"an overlay on this file system {wrong}"


def cause(error: OSError | RefusedError) -> str:
    """What an overlay failed for."""
    if isinstance(error, OSError):
        return f"{getattr(error, 'operation', 'open')}: {os.strerror(error.errno or 0)} (errno {error.errno})"
    return error.reason


def _wrong(directory: str) -> str | None:
    """What an overlay in ``directory`` gets wrong: the kernel may mount it and fall back from what was asked for."""
    lower, layers = os.path.join(directory, "lower"), os.path.join(directory, "layers")
    os.makedirs(os.path.join(lower, "d"))
    os.mkdir(layers)
    with open(os.path.join(lower, "one"), "wb") as file:
        file.write(b"before")
    os.link(os.path.join(lower, "one"), os.path.join(lower, "other"))
    number = os.stat(os.path.join(lower, "one")).st_ino
    merged = mount_overlay(Rootfs(os.fsencode(lower)), os.fsencode(layers))
    at = os.fsdecode(merged.path)
    with open(os.path.join(at, "one"), "wb") as file:
        file.write(b"after")
    with open(os.path.join(at, "other"), "rb") as file:
        if file.read() != b"after":
            return "breaks hard links (index=on is not in force)"
    if os.stat(os.path.join(at, "other")).st_ino != number:
        return "gives a file that is written another inode number"
    try:
        os.rename(os.path.join(at, "d"), os.path.join(at, "moved"))
    except OSError as error:
        return f"cannot rename directories (redirect_dir=on is not in force): {error.strerror}"
    return None
