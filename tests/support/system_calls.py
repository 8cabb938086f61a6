"""System calls that Python has no function for."""

import ctypes
import fcntl
import mmap
import os
import struct

libc = ctypes.CDLL(None, use_errno=True)

AT_FDCWD = -100
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2
FICLONE = 0x40049409
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
FS_COMPR_FL, FS_NODUMP_FL = 0x4, 0x40
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000

_UTIME_OMIT = (1 << 30) - 2
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT = 428, 429  # the same on all architectures
_OPEN_TREE_CLONE, _AT_EMPTY_PATH, _MOVE_MOUNT_F_EMPTY_PATH = 1, 0x1000, 4


def checked(result: int) -> int:
    """``result``, unless it says that the call failed."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def renameat2(old: str, new: str, flags: int) -> None:
    checked(libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    checked(libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


def set_modification_time(path: str, ns: int) -> None:
    """As ``touch -m`` does: the access time is left as it is."""
    times = struct.pack("=4q", 0, _UTIME_OMIT, *divmod(ns, 10**9))
    checked(libc.utimensat(AT_FDCWD, os.fsencode(path), times, 0))


def set_inode_flag(path: str, flag: int) -> None:
    """As chattr does."""
    fd = os.open(path, os.O_RDONLY)
    try:
        flags = struct.unpack("i", fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(4)))[0]
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("i", flags | flag))
    finally:
        os.close(fd)


def name_descriptor(fd: int, path: str) -> None:
    """Gives a file of O_TMPFILE a name."""
    # os.link follows the magic link only if it is given a directory (it calls link(2) otherwise).
    os.link(f"/proc/self/fd/{fd}", os.path.abspath(path), src_dir_fd=fd, follow_symlinks=True)


def bind_mount(source: str, target: str) -> None:
    checked(libc.mount(os.fsencode(source), os.fsencode(target), None, MS_BIND, None))


def attach(detached: int, target: str) -> None:
    """Shows a mount that is mounted nowhere at ``target``, in a mount namespace of our own."""
    checked(libc.unshare(CLONE_NEWNS))
    checked(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    clone = checked(libc.syscall(_SYS_OPEN_TREE, detached, b"", _OPEN_TREE_CLONE | _AT_EMPTY_PATH))
    checked(libc.syscall(_SYS_MOVE_MOUNT, clone, b"", AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH))
    os.close(clone)


def mount_tmpfs(target: str) -> None:
    checked(libc.mount(b"none", os.fsencode(target), b"tmpfs", 0, None))


def unmount(target: str) -> None:
    checked(libc.umount2(os.fsencode(target), 0))


def forget_names(path: os.PathLike[str]) -> None:
    """Drops what is cached of the names on the file system that ``path`` is on, by a remount that changes nothing."""
    point = os.path.abspath(path)
    while not os.path.ismount(point):
        point = os.path.dirname(point)
    checked(libc.mount(None, os.fsencode(point), None, MS_REMOUNT, None))


def own_mounts() -> None:
    """Enters a new user and mount namespace, from which no mount gets out, and stays the user it is."""
    user, group = os.geteuid(), os.getegid()
    checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    with open("/proc/self/uid_map", "w") as table:
        table.write(f"0 {user} 1")
    with open("/proc/self/setgroups", "w") as setting:
        setting.write("deny")
    with open("/proc/self/gid_map", "w") as table:
        table.write(f"0 {group} 1")
    checked(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))


class Ring:
    """io_uring(7), one operation at a time."""

    WRITE, FALLOCATE, FTRUNCATE = 23, 17, 55
    _SETUP, _ENTER, _REGISTER = 425, 426, 427
    _REGISTER_FILES, _FIXED_FILE = 2, 1

    def __init__(self) -> None:
        parameters = (ctypes.c_uint32 * 30)()
        self.fd = checked(libc.syscall(self._SETUP, 4, ctypes.byref(parameters)))
        # struct io_uring_params: 10 words, then the offsets within the two rings.
        self._sq_tail, self._sq_array = parameters[11], parameters[16]
        self._cq_head, self._cqes = parameters[20], parameters[25]
        size = max(self._sq_array + 4 * parameters[0], self._cqes + 16 * parameters[1])
        self._submissions = mmap.mmap(self.fd, size, offset=0)
        self._completions = mmap.mmap(self.fd, size, offset=0x800_0000)
        self._entries = mmap.mmap(self.fd, 64 * parameters[0], offset=0x1000_0000)
        self._sq_size, self._cq_size = parameters[0], parameters[1]

    def do(self, operation: int, fd: int, offset: int, address: int, length: int, flags: int = 0) -> int:
        """Submits it and waits. A negative result is an ``OSError``."""
        self._entries[0:64] = struct.pack("=BBHiQQI36x", operation, flags, 0, fd, offset, address, length)
        tail = self._word(self._submissions, self._sq_tail)
        struct.pack_into("=I", self._submissions, self._sq_array + 4 * (tail % self._sq_size), 0)
        struct.pack_into("=I", self._submissions, self._sq_tail, tail + 1)
        checked(libc.syscall(self._ENTER, self.fd, 1, 1, 1, None, 0))
        head = self._word(self._completions, self._cq_head)
        result: int = struct.unpack_from("=QiI", self._completions, self._cqes + 16 * (head % self._cq_size))[1]
        struct.pack_into("=I", self._completions, self._cq_head, head + 1)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def write(self, fd: int, data: bytes, offset: int) -> None:
        buffer = ctypes.create_string_buffer(data, len(data))
        assert self.do(self.WRITE, fd, offset, ctypes.addressof(buffer), len(data)) == len(data)

    def register(self, fd: int) -> None:
        """The ring holds the file from now on, as number 0."""
        checked(libc.syscall(self._REGISTER, self.fd, self._REGISTER_FILES, (ctypes.c_int * 1)(fd), 1))

    def write_registered(self, data: bytes, offset: int) -> None:
        buffer = ctypes.create_string_buffer(data, len(data))
        written = self.do(self.WRITE, 0, offset, ctypes.addressof(buffer), len(data), self._FIXED_FILE)
        assert written == len(data)

    def fallocate(self, fd: int, mode: int, offset: int, length: int) -> None:
        # The entry has the length where others have the address, and the mode where they have the length.
        self.do(self.FALLOCATE, fd, offset, length, mode)

    def ftruncate(self, fd: int, size: int) -> None:
        """Linux 6.9."""
        self.do(self.FTRUNCATE, fd, size, 0, 0)

    def close(self) -> None:
        for mapped in (self._submissions, self._completions, self._entries):
            mapped.close()
        os.close(self.fd)

    @staticmethod
    def _word(mapped: mmap.mmap, offset: int) -> int:
        word: int = struct.unpack_from("=I", mapped, offset)[0]
        return word
