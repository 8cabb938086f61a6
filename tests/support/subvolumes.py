"""Subvolumes of btrfs, by its own program. Any user may make one in a directory of theirs, and make it read-only."""

import subprocess
from pathlib import Path


def create(path: Path) -> None:
    _btrfs("subvolume", "create", path)


def snapshot(of: Path, path: Path) -> None:
    _btrfs("subvolume", "snapshot", of, path)


def make_read_only(path: Path) -> None:
    _btrfs("property", "set", "-ts", path, "ro", "true")


def _btrfs(*arguments: str | Path) -> None:
    subprocess.run(["btrfs", *arguments], check=True, capture_output=True)
