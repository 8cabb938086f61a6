"""Machines on which an emulator is registered, without a change to this one.

What interprets a program is registered with binfmt_misc. Since Linux 6.7 a user namespace can have a binfmt_misc of its
own (Documentation/admin-guide/binfmt-misc.rst): the whole builder runs in one, with all IDs of the host, as if it were
the machine. What is registered goes with it.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from fswatch_builder.runtime import emulation
from tests.support.debian import CACHE, mirror

#: Hides the emulators that are installed: nothing that a build starts is searched on PATH otherwise.
NO_PATH = {"PATH": "/nonexistent"}
#: qemu's names of Go's architectures.
QEMU = {
    "386": "i386",
    "amd64": "x86_64",
    "arm": "arm",
    "arm64": "aarch64",
    "loong64": "loongarch64",
    "mips": "mips",
    "mips64": "mips64",
    "mips64le": "mips64el",
    "mipsle": "mipsel",
    "ppc64": "ppc64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}

_ENTER = """
import ctypes, json, os, sys

libc = ctypes.CDLL(None, use_errno=True)

def call(result):
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))

registered, place, *command = json.loads(sys.argv[1])
ready, go = os.pipe(), os.pipe()
mapper = os.fork()
if mapper == 0:  # from outside all IDs can be mapped (user_namespaces(7))
    os.read(ready[0], 1)
    for kind in ("uid_map", "gid_map"):
        with open(f"/proc/{os.getppid()}/{kind}", "w") as file:
            file.write("0 0 4294967295")
    os.write(go[1], b"x")
    os._exit(0)
call(libc.unshare(0x10000000))  # CLONE_NEWUSER
os.write(ready[1], b"x")
os.read(go[0], 1)
assert os.waitpid(mapper, 0)[1] == 0
for descriptor in (*ready, *go):
    os.close(descriptor)
# With a network too: who does not own it may mount no sysfs, which a RUN has.
call(libc.unshare(0x20000 | 0x40000000))  # CLONE_NEWNS | CLONE_NEWNET
call(libc.mount(b"none", b"/", None, 0x44000, None))  # MS_REC | MS_PRIVATE
call(libc.mount(b"binfmt_misc", os.fsencode(place), b"binfmt_misc", 0, None))
for line in registered:
    with open(os.path.join(place, "register"), "wb", buffering=0) as file:
        file.write(line.encode("latin-1"))
os.execvp(command[0], command)
"""


def emulator(architecture: str) -> str:
    """Where qemu-user for an architecture (Go's name) is. It is a prerequisite of the tests."""
    found = shutil.which(f"qemu-{QEMU[architecture]}-static")
    assert found is not None, "qemu-user-static is needed: .ci/prerequisites test"
    return found


def registration(architecture: str, **how: str) -> str:
    """What is written to ``register``."""
    return emulation.registration(architecture, emulator(architecture), **how).decode()


def entering(place: str, registrations: Sequence[str], command: Sequence[str]) -> list[str]:
    """The command that runs ``command`` where these are registered; ``place`` is an empty directory."""
    return [sys.executable, "-c", _ENTER, json.dumps([list(registrations), place, *command])]


@functools.cache
def why_impossible() -> str | None:
    """What keeps this kernel from having such a namespace; None if nothing does."""
    if os.geteuid() != 0:
        return "needs root, to map all IDs"
    place = os.path.join(CACHE, f"binfmt-{os.getpid()}")
    os.makedirs(place)
    try:
        done = subprocess.run(entering(place, [], ["true"]), capture_output=True, text=True, check=False)
    finally:
        os.rmdir(place)
    if done.returncode == 0:
        return None
    return f"needs a binfmt_misc in user namespaces (Linux 6.7): {done.stderr.strip().splitlines()[-1]}"


def fswatch_builder_emulating(
    place: str,
    registrations: Sequence[str],
    *arguments: str,
    check: bool = True,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """The command as a user of such a machine types it."""
    kept = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: os.environ[name] for name in kept if name in os.environ} | dict(env or {})
    command = entering(place, registrations, [sys.executable, "-m", "fswatch_builder", *arguments])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL
    )
    if check:
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def foreign_busybox(architecture: str) -> str:
    """A static busybox for a Debian architecture, from the configured mirror; kept for later runs."""
    import fcntl

    os.makedirs(CACHE, exist_ok=True)
    suite, url = mirror()
    target = os.path.abspath(os.path.join(CACHE, f"busybox-{suite}-{architecture}"))
    with open(target + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(target):
            subprocess.run(
                [
                    "mmdebstrap",
                    "--quiet",
                    "--mode=root",
                    "--variant=extract",
                    "--include=busybox-static",
                    f"--architectures={architecture}",
                    suite,
                    target + ".partial.tar",
                    *([f"deb {url} {suite} main"] if url else []),
                ],
                check=True,
                stdin=subprocess.DEVNULL,
            )
            extracted = subprocess.run(
                ["tar", "-xOf", target + ".partial.tar", "./bin/busybox"], check=True, capture_output=True
            )
            with open(target + ".partial", "wb") as file:
                file.write(extracted.stdout)
            os.chmod(target + ".partial", 0o755)
            os.unlink(target + ".partial.tar")
            os.rename(target + ".partial", target)
    return target
