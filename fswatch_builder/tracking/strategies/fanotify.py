"""One fanotify mark on the file system that holds the rootfs: the cost of a step is that of its changes alone.

Nothing is set up per directory, so a tree of a million files is armed as fast as one of ten. Events name inodes, so a
write through any hard link is seen. It needs CAP_SYS_ADMIN over the file system (root, or the owner of the user
namespace that mounted it) and Linux 5.17. What makes it exact is argued in ``tracking/README.md``.
"""

import errno
import os
from collections.abc import Sequence

from fswatch_builder._native import (
    Baseline,
    ChangeSet,
    FilesystemMark,
    HintSet,
    ProcessRecord,
    RefusedError,
    Rootfs,
)
from fswatch_builder.errors import TrackingError
from fswatch_builder.model.attribution import Attribution
from fswatch_builder.tracking.programs import places_of_programs
from fswatch_builder.tracking.protocol import Capability

_REASONS = {
    ("fanotify_init", errno.EPERM): "CAP_SYS_ADMIN is missing, or a seccomp filter refuses fanotify_init",
    ("fanotify_init", errno.EACCES): "a security policy refuses fanotify_init",
    ("fanotify_init", errno.EINVAL): "the kernel is older than 5.17 (no FAN_REPORT_TARGET_FID)",
    ("fanotify_init", errno.ENOSYS): "the kernel was built without fanotify, or a seccomp filter refuses it",
    ("fanotify_init", errno.EMFILE): "no more fanotify groups (fs.fanotify.max_user_groups) or open files are allowed",
    ("fanotify_mark", errno.EPERM): "CAP_SYS_ADMIN is missing in the user namespace that mounted the file system",
    ("fanotify_mark", errno.EACCES): "a security policy refuses fanotify_mark",
    ("fanotify_mark", errno.EINVAL): "the kernel is older than 5.17 (no FAN_RENAME)",
    ("fanotify_mark", errno.ENOSYS): "a seccomp filter refuses fanotify_mark",
    ("fanotify_mark", errno.ENOSPC): "the limit of fanotify marks is reached (fs.fanotify.max_user_marks)",
    ("fanotify_mark", errno.EXDEV): "the rootfs is in a btrfs subvolume, which has no mark of its own",
    ("fanotify_mark", errno.ENODEV): "the file system has no ID (FUSE has none)",
    (
        "fanotify_mark",
        errno.EOPNOTSUPP,
    ): "the file system cannot be told of by file handles (overlay cannot, by default)",
    ("name_to_handle_at", errno.EOPNOTSUPP): "the file system has no file handles (overlay has none, by default)",
    ("name_to_handle_at", errno.EPERM): "a seccomp filter refuses name_to_handle_at",
    ("name_to_handle_at", errno.ENOSYS): "a seccomp filter refuses name_to_handle_at",
}
"""What a refused call means, by fanotify_init(2), fanotify_mark(2) and open_by_handle_at(2)."""


class FanotifyTracker:
    """See the module."""

    name = "fanotify"
    in_place = True
    on_overlay = False
    anonymous = None

    def probe(self, rootfs: Rootfs) -> Capability:
        """Marks the file system, makes one harmless event on the root directory and looks for it in the queue."""
        try:
            unlimited = FilesystemMark.probe(rootfs)
        except (OSError, RefusedError) as error:
            return Capability(usable=False, reason=explain(error))
        limit = "" if unlimited else ", with a queue of limited length (fs.fanotify.max_queued_events)"
        return Capability(usable=True, reason=f"one mark covers the file system{limit}")

    def arm(self, rootfs: Rootfs, baseline: Baseline) -> "FanotifySession":
        """One mark, however many directories."""
        try:
            mark = FilesystemMark(rootfs, baseline)
        except (OSError, RefusedError) as error:
            raise TrackingError(
                f"the fanotify tracker cannot be used: {explain(error)}", hint="use --tracker auto or --tracker inotify"
            ) from error
        return FanotifySession(rootfs, mark, baseline)

    def arm_attributing(self, rootfs: Rootfs, baseline: Baseline) -> "AttributingFanotifySession":
        """The same mark, and one more on each file system that programs may be started from, in a group of its own."""
        places, unasked = places_of_programs()
        try:
            mark = FilesystemMark(rootfs, baseline, programs_on=places)
        except (OSError, RefusedError) as error:
            raise TrackingError(f"processes cannot be told here: {explain(error)}") from error
        return AttributingFanotifySession(rootfs, mark, baseline, unasked)


class FanotifySession:
    """Owns the mark, and knows the baseline that its events are about."""

    tracker = FanotifyTracker.name
    needs_link_witness = False

    def __init__(self, rootfs: Rootfs, mark: FilesystemMark, baseline: Baseline) -> None:
        self.rootfs = rootfs
        self.mark = mark
        self._baseline = baseline

    @property
    def events(self) -> int:
        """Of all of the file system."""
        return self.mark.events

    def settle(self) -> HintSet:
        """What the events of this step say, read to the last one that was queued before the call."""
        return self.mark.settle(self._baseline)

    def advance(self, baseline: Baseline, changes: ChangeSet) -> None:
        """The inodes that came with ``changes`` are ours from now on."""
        self.mark.advance(baseline, changes)
        self._baseline = baseline

    def close(self) -> None:
        """Stops the reader; the kernel drops the mark with the descriptor."""
        self.mark.close()


class AttributingFanotifySession(FanotifySession):
    """One whose mark records processes."""

    def __init__(self, rootfs: Rootfs, mark: FilesystemMark, baseline: Baseline, unasked: Sequence[bytes]) -> None:
        super().__init__(rootfs, mark, baseline)
        self._unasked = unasked
        self._record: ProcessRecord | None = None

    def settle(self) -> HintSet:
        """What the events of this step say, read to the last one that was queued before the call."""
        hints = super().settle()
        self._record = self.mark.take_record()
        return hints

    def attribute(self, baseline: Baseline, changes: ChangeSet) -> Attribution:
        """From the record of the last settle."""
        record = self._record
        if record is None:
            raise RuntimeError("nothing was settled yet")
        return Attribution(
            touched={path: tuple(pids) for path, pids in record.attribute(baseline, changes)},
            processes={process.pid: process for process in record.processes},
            complete=record.is_complete,
            unheard=tuple(sorted([*record.unheard, *self._unasked])),
        )


def explain(error: OSError | RefusedError) -> str:
    """Why it does not work, with the call and the errno that say so."""
    if isinstance(error, RefusedError):
        return error.reason
    operation = getattr(error, "operation", "fanotify")
    number = error.errno or 0
    reason = _REASONS.get((operation, number), os.strerror(number))
    # Linux has one number for EOPNOTSUPP and ENOTSUP, and the manual pages use the former.
    symbol = "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))
    return f"{reason} ({operation}: {symbol})"


TRACKER = FanotifyTracker()
