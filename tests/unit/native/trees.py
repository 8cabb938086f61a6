"""Small trees to copy from and to, and what is in them."""

import os
from pathlib import Path
from typing import NamedTuple

from fswatch_builder._native import Rootfs

OLD = 1_000_000_000_123_456_789


class Tree:
    """A directory and the ``Rootfs`` on it."""

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self.path = path
        self.root = Rootfs(os.fsencode(path))

    def file(self, name: str, content: str = "", mode: int = 0o644, mtime_ns: int = OLD) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        os.utime(path, ns=(mtime_ns, mtime_ns))
        return path

    def directory(self, name: str, mode: int = 0o755) -> Path:
        path = self.path / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        return path

    def link(self, name: str, target: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return path

    def age(self, *names: str, mtime_ns: int = OLD) -> None:
        for name in names:
            os.utime(self.path / name, ns=(mtime_ns, mtime_ns), follow_symlinks=False)

    def stat(self, name: str) -> "Stat":
        stat = (self.path / name).lstat()
        return Stat(stat.st_mode & 0o7777, stat.st_uid, stat.st_gid, stat.st_mtime_ns)

    def text(self, name: str) -> str:
        return (self.path / name).read_text()


class Stat(NamedTuple):
    mode: int
    uid: int
    gid: int
    mtime_ns: int
