"""What the host has to offer for a RUN: the rights to isolate it, and its name resolution."""

import os
import pwd
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from fswatch_builder.errors import SandboxError
from fswatch_builder.runtime import kernel

CAP_CHOWN = 0
CAP_SYS_ADMIN = 21
"""Their bits in the capability sets (linux/capability.h)."""

RUN = "a RUN cannot be isolated for an ordinary user"
OWNERS = "an ordinary user cannot make the files of an image, which belong to root and others"

PRIVILEGED = "in a container, start it with --privileged"


def check(
    *,
    uid: int | None = None,
    proc: Path = Path("/proc"),
    etc: Path = Path("/etc"),
    which: Callable[[str], str | None] = shutil.which,
) -> None:
    """Returns if a RUN can be isolated here; else raises a `SandboxError` with cause and cure.

    ``uid`` is the one to check for (default: that of this process); the others say where to look.
    """
    uid = os.geteuid() if uid is None else uid
    if uid != 0:
        _check_user(RUN, uid, proc, etc, which)
    if not _capable(CAP_SYS_ADMIN, proc):
        raise SandboxError(
            "this root may not make namespaces and mounts (it has no CAP_SYS_ADMIN), so a RUN cannot be isolated",
            hint=PRIVILEGED,
        )
    kernel.check_run()


def check_owners(
    *,
    uid: int | None = None,
    proc: Path = Path("/proc"),
    etc: Path = Path("/etc"),
    which: Callable[[str], str | None] = shutil.which,
) -> None:
    """Returns if files can be given any owner here, which a root file system takes; else raises a `SandboxError`.

    The parameters are those of `check`.
    """
    if _capable(CAP_CHOWN, proc):
        return
    uid = os.geteuid() if uid is None else uid
    if uid != 0:
        _check_user(OWNERS, uid, proc, etc, which)
    raise SandboxError(
        "this root may not give files to others (it has no CAP_CHOWN), so it cannot make the files of an image",
        hint="give it that capability",
    )


def _capable(capability: int, proc: Path) -> bool:
    for line in (proc / "self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> capability & 1)
    return False


def _check_user(what: str, uid: int, proc: Path, etc: Path, which: Callable[[str], str | None]) -> NoReturn:
    def refused(cause: str, cure: str) -> SandboxError:
        # Both halves of the truth: the cure is needed for builds as a user, and these are still to come.
        return SandboxError(
            f"{what}: {cause}",
            hint=f"run the build as root; for builds as a user, which are not supported yet: {cure}",
        )

    if _sysctl(proc, "user/max_user_namespaces") == "0":
        raise refused("user namespaces are switched off", "run `sysctl user.max_user_namespaces=15000`")
    if _sysctl(proc, "kernel/unprivileged_userns_clone") == "0":
        raise refused("user namespaces are kept from ordinary users", "run `sysctl kernel.unprivileged_userns_clone=1`")
    if _sysctl(proc, "kernel/apparmor_restrict_unprivileged_userns") == "1":
        raise refused(
            "AppArmor restricts user namespaces",
            "run `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or give the program an AppArmor profile"
            " that has `userns,`",
        )
    missing = [tool for tool in ("newuidmap", "newgidmap") if which(tool) is None]
    if missing:
        raise refused(f"{' and '.join(missing)} not found", "install them: `apt install uidmap`")
    name = _user_name(uid)
    for file in ("subuid", "subgid"):
        if not _has_range(etc / file, uid, name):
            raise refused(
                f"user {name} has no range of subordinate IDs in {etc / file}",
                f"run `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}`",
            )
    raise SandboxError(f"{what}: that is not supported yet", hint="run the build as root: `sudo fswatch-builder …`")


def _sysctl(proc: Path, name: str) -> str | None:
    try:
        return (proc / "sys" / name).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _has_range(file: Path, uid: int, name: str) -> bool:
    """Whether a subuid(5) or subgid(5) file has a range for the user, by name or number."""
    try:
        lines = file.read_text(errors="surrogateescape").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return False
    records = [line.split(":") for line in lines]
    return any(
        len(record) == 3 and record[0] in (name, str(uid)) and record[2].isdigit() and int(record[2]) > 0
        for record in records
    )


def resolv_conf(etc: Path = Path("/etc")) -> bytes:
    """The host's resolver configuration, empty if it has none. A RUN shares the host's network, loopback included."""
    try:
        return (etc / "resolv.conf").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""


def hosts(hostname: str, others: Iterable[tuple[str, str]] = ()) -> bytes:
    """The hosts file of a RUN: itself, ``others`` by name and address, and nobody that the host knows."""
    lines = [f"127.0.0.1\tlocalhost {hostname}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{name}" for name, address in others]
    return "".join(f"{line}\n" for line in lines).encode()
