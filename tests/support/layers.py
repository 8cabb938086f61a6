"""Layers as files, and the tree they were taken from."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle


def whole() -> native.HintSet:
    """Look everywhere."""
    hints = native.HintSet()
    hints.add(b"", "subtree")
    return hints


def diff_id(rootfs: native.Rootfs, baseline: native.Baseline, changes: native.ChangeSet) -> bytes:
    """Of the layer that is not kept: layers with equal ones are equal byte for byte."""
    with open(os.devnull, "wb") as sink:
        return native.pack_layer(rootfs, baseline, changes, sink.fileno()).diff_id


@dataclass
class Layers:
    """The layers of one tree, the base first."""

    directory: Path
    tars: list[Path] = field(default_factory=list)

    def add(self, rootfs: native.Rootfs, baseline: native.Baseline, changes: native.ChangeSet) -> bytes:
        """Its diffID."""
        path = self.directory / f"{len(self.tars)}.tar"
        with open(path, "wb") as file:
            packed = native.pack_layer(rootfs, baseline, changes, file.fileno())
        self.tars.append(path)
        return packed.diff_id

    def unpack(self, root: Path) -> tuple[native.Rootfs, native.Baseline]:
        """All of them, one upon the other, into a new directory."""
        root.mkdir(0o755)
        rootfs = native.Rootfs(os.fsencode(root))
        baseline = native.Baseline.empty(rootfs)
        for tar in self.tars:
            with open(tar, "rb") as file:
                native.unpack_layer(rootfs, baseline, file.fileno())
        return rootfs, baseline


def at_layer_precision(seen: oracle.Snapshot) -> dict[bytes, object]:
    """What layers can say: whole seconds, which names share an inode; nothing of the root's own time."""
    names: dict[object, set[bytes]] = {}
    for path, entry in seen.items():
        names.setdefault(entry.inode or path, set()).add(path)
    return {
        path: (
            *(entry.kind, entry.mode, entry.uid, entry.gid, entry.rdev, entry.target, entry.xattrs, entry.content),
            entry.mtime_ns // 10**9 if path else None,
            frozenset(names[entry.inode or path]),
        )
        for path, entry in seen.items()
    }
