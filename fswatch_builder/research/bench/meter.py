"""What memory a trial takes, as far as the kernel tells."""

from msgspec import Struct

from fswatch_builder.research import memory
from fswatch_builder.research.cgroup import MemoryGroup


class Meter(Struct, frozen=True):
    """Sizes are bytes. ``group``: the cgroup of this process, if it has one of its own."""

    group: MemoryGroup | None = None

    def reset(self) -> None:
        """Peaks are what is used now."""
        memory.reset_peak_rss()
        if self.group is not None:
            self.group.reset_peak()

    def kernel(self) -> int:
        """What the kernel uses for this process: watches and marks are in it, and events that nobody has read.

        Without a group, what it uses for all of the machine.
        """
        return memory.kernel_slab() if self.group is None else self.group.kernel()

    def peak_group(self) -> int | None:
        """The most that this process and its commands were charged with since the reset, pages of files too."""
        return None if self.group is None else self.group.peak()
