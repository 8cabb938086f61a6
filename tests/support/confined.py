"""Python with less than root may have: what a container's default profile leaves of it."""

import json
import os
import subprocess
import sys
from typing import Any

# capabilities(7), as moby's profiles/capabilities lists them.
DOCKER_DEFAULT = [
    *("chown", "dac_override", "fsetid", "fowner", "mknod", "net_raw", "setgid", "setuid", "setfcap", "setpcap"),
    *("net_bind_service", "sys_chroot", "kill", "audit_write"),
]

_FILTER = """
import ctypes, errno, json, os, platform, struct, sys
def refuse(name):
    # bpf(2) by hand: load the number of the call; if it is the one, its errno, else go on (seccomp(2)).
    number = {"fanotify_init": {"x86_64": 300, "aarch64": 262}}[name][platform.machine()]
    program = b"".join(struct.pack("=HBBI", *step) for step in [
        (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | errno.EPERM), (0x06, 0, 0, 0x7FFF0000)])
    steps = ctypes.create_string_buffer(program)
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    argument = ctypes.byref(Program(4, ctypes.addressof(steps)))
    assert libc.prctl(22, 2, argument, 0, 0) == 0, os.strerror(ctypes.get_errno())  # PR_SET_SECCOMP, filter
"""


def run_confined(
    script: str, *arguments: str, capabilities: list[str] | None = None, refused: str | None = None
) -> Any:
    """Runs ``script`` with no capability but these, or under a seccomp filter that refuses one system call with EPERM.

    ``sys.argv[1:]`` are the arguments; returns the JSON it prints.
    """
    bounds = []
    if capabilities is not None:
        kept = ",".join(["-all", *(f"+{name}" for name in capabilities)])
        bounds = ["setpriv", f"--bounding-set={kept}", "--inh-caps=-all"]
    prelude = _FILTER + (f"refuse({refused!r})\n" if refused else "")
    done = subprocess.run(
        [*bounds, sys.executable, "-c", prelude + script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
