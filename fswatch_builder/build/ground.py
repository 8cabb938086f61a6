"""What a root file system begins with: a tree that was unpacked before, to which nobody writes any more.

So any number of stages and builds begin with it at once. It is the lower layer of an overlay, each with an upper
directory of its own; or it is copied, where files can share their blocks, for a tracker that is blind on an overlay and
for a tree that an overlay would not show as it is.
"""

import errno
import fcntl
import os
from collections.abc import Sequence
from enum import Enum, auto
from tempfile import TemporaryFile, mkdtemp
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from fswatch_builder._native import Baseline, Rootfs, mount_overlay
from fswatch_builder.model.image import Layer
from fswatch_builder.tracking.overlays import PREFIX, obstacle

if TYPE_CHECKING:
    from fswatch_builder.build.kept_bases import Presumed

_FICLONE: Final = 0x40049409  # ioctl_ficlonerange(2)


class Ground(Struct, frozen=True):
    """A root file system to go on with, what is recorded of it, and the layers that it consists of.

    ``presumed``: the tree below is still looked at (``KeptBases.holds``). None: it can be trusted.
    """

    rootfs: Rootfs
    baseline: Baseline
    layers: tuple[Layer, ...]
    presumed: "Presumed | None" = None


class Way(Enum):
    """How a root file system begins with a kept tree."""

    OVER = auto()
    COPY = auto()


class Ways(Struct, frozen=True):
    """Those that there are on this host."""

    over: bool
    copy: bool

    @classmethod
    def of(cls, directory: str) -> "Ways":
        """Both tried in ``directory``, which is on the file system of the trees."""
        return cls(over=obstacle(directory) is None, copy=_shares_blocks(directory))

    def without_overlay_unless(self, allowed: bool) -> "Ways":
        """What is left of them."""
        return Ways(over=self.over and allowed, copy=self.copy)

    def fit(self, baseline: Baseline) -> Way | None:
        """The one to take for a tree with this record."""
        if self.over and baseline.null_device() is None:
            return Way.OVER
        return Way.COPY if self.copy else None

    def __bool__(self) -> bool:
        return self.over or self.copy


def begin(
    way: Way,
    rootfs: Rootfs,
    baseline: Baseline,
    layers: Sequence[Layer],
    directory: str,
    presumed: "Presumed | None" = None,
) -> Ground:
    """On the tree ``rootfs``, which has ``layers``; what is written goes to ``directory``."""
    match way:
        case Way.OVER:
            upper = mkdtemp(prefix=PREFIX, dir=directory)
            return Ground(mount_overlay(rootfs, os.fsencode(upper)), baseline, tuple(layers), presumed)
        case Way.COPY:
            from fswatch_builder.build.unpacking import new_rootfs

            copy, _ = new_rootfs(f"{directory}/rootfs")
            return Ground(copy, baseline.clone_tree(rootfs, copy), tuple(layers))


def _shares_blocks(directory: str) -> bool:
    with TemporaryFile(dir=directory) as one, TemporaryFile(dir=directory) as other:
        one.write(b"x")
        one.flush()
        try:
            fcntl.ioctl(other, _FICLONE, one.fileno())
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV):
                return False
            raise
    return True
