"""What memory the kernel says is used, by this process and for its watches."""

_RESET_PEAK = b"5"
_INODE_CACHES = {
    "ext4": "ext4_inode_cache",
    "tmpfs": "shmem_inode_cache",
    "xfs": "xfs_inode",
    "btrfs": "btrfs_inode",
    "overlay": "ovl_inode",
}


def reset_peak_rss() -> None:
    """The peak of this process is what it uses now (proc_pid_clear_refs(5))."""
    with open("/proc/self/clear_refs", "wb", buffering=0) as file:
        file.write(_RESET_PEAK)


def peak_rss() -> int:
    """Bytes that were resident at most, since the last reset (VmHWM of proc_pid_status(5))."""
    return _kib("/proc/self/status", "VmHWM:") * 1024


def kernel_slab() -> int:
    """Bytes of slab memory that the kernel cannot take back, of the whole machine (SUnreclaim of proc_meminfo(5)).

    Watches and marks are in it, and so are events that nobody has read. slabinfo(5) would name them, but kernels merge
    caches of one size.
    """
    return _kib("/proc/meminfo", "SUnreclaim:") * 1024


def inode_size(file_system: str) -> int | None:
    """Bytes of an inode of that kind of file system in memory, as the kernel says; None to all but root, and where its
    caches are merged or unknown.
    """
    cache = _INODE_CACHES.get(file_system)
    try:
        with open("/proc/slabinfo") as lines:
            return next((int(line.split()[3]) for line in lines if line.split()[0] == cache), None)
    except (FileNotFoundError, PermissionError):
        return None


def _kib(path: str, name: str) -> int:
    with open(path) as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))
