"""The limits the kernel sets to inotify, and how much of them the builder takes.

The limit of watches is counted per user and user namespace, and charged in every namespace above too (inotify(7),
user_namespaces(7); pinned in tests/kernel/test_inotify_limits.py). It is shared with everything else that user runs:
editors, file managers, other builds. So the builder leaves a part of it alone, and scans what it may not watch.
"""

import errno
import os

from msgspec import Struct

HOST_SHARE = 8
"""One part in this many of the limit is left to the user's other programs, beside what they hold already."""


class InotifyLimits(Struct, frozen=True):
    """What this process may have, all processes of the user together."""

    watches: int
    instances: int
    queued_events: int  # per instance; what comes on top is dropped and reported as an overflow


def read_limits(proc: str = "/proc") -> InotifyLimits:
    """Reads the host's limits and the present user namespace's; the lower one counts. ``OSError`` without inotify."""
    return InotifyLimits(
        watches=min(_number(proc, "sys/fs/inotify/max_user_watches"), _number(proc, "sys/user/max_inotify_watches")),
        instances=min(
            _number(proc, "sys/fs/inotify/max_user_instances"), _number(proc, "sys/user/max_inotify_instances")
        ),
        queued_events=_number(proc, "sys/fs/inotify/max_queued_events"),
    )


def watch_budget(needed: int, proc: str = "/proc", *, ours: int = 0) -> int:
    """How many watches a stage may set that begins with ``needed`` and may grow; others of this process hold ``ours``.

    Who holds how many is only counted when it matters, since that reads /proc of all processes, tens of milliseconds on
    a busy host: a build that begins with an eighth of the limit or less may take half of it uncounted, all its stages
    together.
    """
    limit = read_limits(proc).watches
    share = limit // HOST_SHARE
    if needed + ours <= share:
        return limit // 2 - ours
    return max(0, limit - share - ours - watches_in_use(os.geteuid(), but=os.getpid()))


def watches_in_use(uid: int, *, but: int = 0) -> int:
    """Inotify watches held by all processes ``but`` one with this effective user ID, as far as one may look."""
    import psutil  # type: ignore[import-untyped]

    held = 0
    for process in psutil.process_iter():
        try:
            if process.pid != but and process.uids().effective == uid:
                held += watches_held(process.pid)
        except psutil.Error:
            continue  # It ended, or is not ours to look at.
    return held


def watches_held(pid: int) -> int:
    """Inotify watches of one process (proc_pid_fdinfo(5)); 0 if it ended or is not ours to look at."""
    held = 0
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{fd}") == "anon_inode:inotify":
                    with open(f"/proc/{pid}/fdinfo/{fd}", "rb") as lines:
                        held += sum(line.startswith(b"inotify ") for line in lines)
            except FileNotFoundError:
                continue  # Closed meanwhile.
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                # A file so deep down that the kernel cannot spell its path, hence no inotify instance.
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return held


def _number(proc: str, name: str) -> int:
    with open(os.path.join(proc, name), "rb") as file:
        return int(file.read())
