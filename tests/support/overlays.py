"""Whether this kernel can do what the overlay tracker needs, found out without asking the tracker."""

import ctypes
import errno
import os

import pytest

# The same numbers on every architecture (asm-generic/unistd.h); the C library need not have wrappers.
_OPEN_TREE, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 430, 431, 432
_CLOEXEC, _CREATE, _CLONE = 1, 6, 1
_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def clones_detached_mounts() -> bool:
    """Whether a mount that is mounted nowhere can be cloned (Linux 6.15). True without the right to try.

    Tests that need it need root too, and are skipped for that.
    """
    opened: list[int] = []
    try:
        opened.append(_call(_FSOPEN, b"tmpfs", _CLOEXEC))
        _call(_FSCONFIG, opened[0], _CREATE, None, None, 0)
        opened.append(_call(_FSMOUNT, opened[0], _CLOEXEC, 0))
        opened.append(_call(_OPEN_TREE, opened[1], b".", _CLONE | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EPERM:
            return True
        if error.errno == errno.EINVAL and len(opened) == 2:
            return False
        raise
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return True


HERE = clones_detached_mounts()

needs_overlay_tracker = pytest.mark.skipif(
    not HERE,
    reason="the overlay tracker cannot be had: this kernel clones no mount that is mounted nowhere (6.15 does)",
)

OVERLAY = pytest.param("overlay", marks=needs_overlay_tracker)
"""The tracker, as a parameter."""
