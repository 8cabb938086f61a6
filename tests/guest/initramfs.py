"""The guest's first file system: busybox, the modules that its root needs, and the script that mounts it."""

import lzma
import shlex
import shutil
import stat
from pathlib import Path

from tests.guest.kernels import Kernel, UnavailableError

INIT = Path(__file__).with_name("init.sh")

NEEDED = ["9p", "9pnet_virtio", "virtio_pci", "virtio_blk", "overlay", "ext4", "loop"]
"""Once the root is there, the kernel finds the other modules itself; but no /dev/loop-control, which asks for loop."""


def initramfs(kernel: Kernel, settings: dict[str, str]) -> bytes:
    """A cpio archive for ``kernel``; its script gets ``settings`` as shell variables."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise UnavailableError("busybox is not installed: apt-get install busybox-static")
    archive = Archive()
    for directory in ("bin", "dev", "modules", "proc", "sys", "host", "results", "upper", "root"):
        archive.directory(directory)
    archive.file("bin/busybox", Path(busybox).read_bytes(), 0o755)
    archive.file("init", INIT.read_bytes(), 0o755)
    archive.file("settings", "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()).encode())
    for number, module in enumerate(kernel.insertions(NEEDED)):
        content = module.read_bytes()
        if module.suffix == ".xz":
            content = lzma.decompress(content)
        archive.file(f"modules/{number:02}-{module.name.removesuffix('.xz')}", content)
    return archive.end()


class Archive:
    """Writes the cpio format that the kernel reads (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0

    def directory(self, path: str) -> None:
        """Its parent must be there already."""
        self._add(path, stat.S_IFDIR | 0o755, b"")

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Its directory must be there already."""
        self._add(path, stat.S_IFREG | mode, content)

    def end(self) -> bytes:
        """The whole archive."""
        self._add("TRAILER!!!", 0, b"")
        return b"".join(self._parts)

    def _add(self, path: str, mode: int, content: bytes) -> None:
        self._count += 1
        name = path.encode() + b"\0"
        # inode, mode, uid, gid, nlink, mtime, size, device and rdev (major, minor each), length of the name, checksum
        numbers = (self._count, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self._parts += [_padded(header + name), _padded(content)]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
