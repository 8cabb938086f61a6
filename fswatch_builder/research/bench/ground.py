"""The tree a command works on: a copy that is put back after each trial, and what is known of it.

Trials have to start from the same state, and a fresh copy for each would cost more than all that is measured. So only
what a trial changed is put back, and that it was is checked.
"""

import os
import subprocess
from collections.abc import Iterable

from fswatch_builder._native import Baseline, HintSet, Rootfs, remove_tree
from fswatch_builder.errors import BuildError
from fswatch_builder.research.bench.putting_back import Pristine

_TREE, _OUTPUT = "tree", "output"


class Ground:
    """``tree`` is worked on; ``baseline`` describes it between trials. ``output`` takes what commands print."""

    def __init__(self, home: str, pristine: str) -> None:
        """Copies ``pristine`` into the empty directory ``home``, and reads every file of the copy. BuildError."""
        self._home = home
        self.tree = os.path.join(home, _TREE)
        self.output = os.path.join(home, _OUTPUT)
        copy_tree(pristine, self.tree)
        self.rootfs = Rootfs(os.fsencode(self.tree))
        self.baseline, _ = Baseline.record(self.rootfs)
        self._pristine = Pristine(pristine)

    @property
    def entries(self) -> int:
        """How many there are in the tree."""
        return len(self.baseline)

    def put_back(self, paths: Iterable[bytes]) -> None:
        """``paths``, and what is below them, become what they were before the command. BuildError if they do not."""
        try:
            touched = self._pristine.put_back(os.fsencode(self.tree), list(paths))
        except OSError as error:
            raise _not_put_back(os.fsdecode(error.filename or b""), error.strerror or str(error)) from error
        hints = HintSet()
        for path in touched:
            hints.add(path, "subtree" if path else "children")
        left = self.baseline.reconcile(self.rootfs, hints, hash="all")
        for change in left.changes:
            raise _not_put_back(os.fsdecode(change.path), " ".join((change.kind, *sorted(change.why))))
        self.baseline.advance(left)

    def sweep(self) -> None:
        """Removes what a tracker left beside the tree."""
        for entry in os.scandir(self._home):
            if entry.name not in (_TREE, _OUTPUT):
                remove_tree(os.fsencode(entry.path))


def _not_put_back(path: str, why: str) -> BuildError:
    return BuildError(
        f"what the command changed in the copy cannot be put back: {path}: {why}",
        hint="measure a command that changes less, or run it on a smaller tree",
    )


def copy_tree(source: str, target: str) -> None:
    """All of ``source``, as it is; ``target`` must not exist. BuildError."""
    command = ["cp", "-a", "--reflink=auto", "--", source, target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"cp ended with status {done.returncode}"]
        raise BuildError(f"cannot copy {source}: {said[-1]}")
