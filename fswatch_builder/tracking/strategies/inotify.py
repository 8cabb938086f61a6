"""Watches every directory with inotify, once per root file system, and keeps the watches from step to step.

The cost is that of the changes: a step reads its own events and nothing else. Works for an ordinary user, in a
container and in a user namespace. What makes it exact is argued in ``tracking/README.md``.
"""

import errno
import os
from threading import Lock
from weakref import WeakSet

from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from fswatch_builder._native import Baseline, ChangeSet, HintSet, Rootfs, Watches, probe_link_witness
from fswatch_builder.errors import TrackingError
from fswatch_builder.tracking.limits import watch_budget
from fswatch_builder.tracking.protocol import Capability


class InotifyTracker:
    """See the module. Stages that are built at the same time share the user's limit: whoever comes later counts what
    the others hold, and a directory that gets no watch is a loss of its stage.
    """

    name = "inotify"
    in_place = True
    on_overlay = True
    anonymous = "the events of inotify do not say who caused them (inotify(7))"

    def __init__(self) -> None:
        self._arming = Lock()
        # Weak: a session that has ended keeps no file system busy.
        self._in_force: WeakSet[InotifySession] = WeakSet()

    def probe(self, rootfs: Rootfs) -> Capability:
        """Makes one harmless event on the root directory and waits for nothing: it must be there at once.

        The root directory's times are set to what they are. That raises IN_ATTRIB on the very file system in
        question, needs no scratch file beside or inside it, and changes nothing but the root's ctime, which is no
        change (and no user can set back).
        """
        try:
            inotify = INotify(nonblocking=True)
        except OSError as error:
            return Capability(usable=False, reason=_no_instance(error))
        with inotify:
            try:
                root = os.open(rootfs.path, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    inotify.add_watch(f"/proc/self/fd/{root}/.", flags.ATTRIB | flags.ONLYDIR)
                    times = os.fstat(root)
                    os.utime(root, ns=(times.st_atime_ns, times.st_mtime_ns))
                finally:
                    os.close(root)
                seen = any(event.mask & flags.ATTRIB for event in inotify.read(timeout=0))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    return Capability(usable=False, reason="the limit of inotify watches is reached")
                return Capability(usable=False, reason=f"inotify cannot watch the root file system: {error.strerror}")
        if not seen:
            return Capability(usable=False, reason="the file system reports no events")
        try:
            probe_link_witness()
        except OSError as error:
            reason = f"the file system reports events, but hard links cannot be counted here ({_no_witness(error)})"
            return Capability(usable=True, reason=f"{reason}, so each RUN is followed by a scan", scans=True)
        return Capability(usable=True, reason="the file system reports events")

    def arm(self, rootfs: Rootfs, baseline: Baseline) -> "InotifySession":
        """Watches all directories, as many as the budget allows; the rest is a loss at each settle."""
        try:
            inotify = INotify(nonblocking=True)
        except OSError as error:
            raise TrackingError(
                f"the inotify tracker cannot be used: {_no_instance(error)}",
                hint="use --tracker scan, or raise fs.inotify.max_user_instances",
            ) from error
        watches = Watches(inotify.fileno())
        session = InotifySession(rootfs, inotify, watches)
        try:
            with self._arming:
                ours = sum(other.watches.count for other in self._in_force if not other.closed)
                watches.arm(rootfs, baseline, budget=watch_budget(baseline.directories, ours=ours))
                self._in_force.add(session)
        except OSError as error:
            watches.close()
            inotify.close()
            place = os.fsdecode(error.filename)
            raise TrackingError(
                f"the inotify tracker cannot watch the root file system: {error.strerror} (/{place})",
                hint="use --tracker scan",
            ) from error
        return session


class InotifySession:
    """Owns the inotify descriptor; ``watches`` reads a duplicate of it."""

    tracker = InotifyTracker.name
    needs_link_witness = True

    def __init__(self, rootfs: Rootfs, inotify: INotify, watches: Watches) -> None:
        self.rootfs = rootfs
        self._inotify = inotify
        self.watches = watches
        self.closed = False

    @property
    def events(self) -> int:
        """Of the watched directories."""
        return self.watches.events

    def settle(self) -> HintSet:
        """What the events of this step say, read to the last one that was queued before the call."""
        return self.watches.settle()

    def advance(self, baseline: Baseline, changes: ChangeSet) -> None:
        """Watches follow directories that were created, moved or deleted."""
        self.watches.advance(baseline, changes)

    def close(self) -> None:
        """Stops the reader; the kernel frees the watches with the last descriptor."""
        self.closed = True
        self.watches.close()
        self._inotify.close()


def _no_instance(error: OSError) -> str:
    if error.errno == errno.EMFILE:
        # inotify_init1(2) gives EMFILE for both limits.
        return "no more inotify instances (fs.inotify.max_user_instances) or open files (ulimit -n) are allowed"
    return f"no inotify instance: {error.strerror}"


def _no_witness(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "another seccomp listener, a container's for instance, watches this process"
    return f"{getattr(error, 'operation', '')}: {os.strerror(error.errno or 0)}"


TRACKER = InotifyTracker()
