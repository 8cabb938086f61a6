"""What each file system reports of each kind of change."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

from fswatch_builder._native import Baseline, HintSet, Rootfs
from fswatch_builder.errors import TrackingError
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid, no_more
from fswatch_builder.research.limits.file_systems import KINDS, is_there, mount
from fswatch_builder.research.limits.operations import OPERATIONS, prepare
from fswatch_builder.research.machine import Machine
from fswatch_builder.tracking.registry import trackers

HERE = "here"
_TRACKERS = ("inotify", "fanotify")


def _points(machine: Machine) -> Sequence[Point]:
    mountable = [kind for kind in KINDS if machine.is_root and is_there(kind)]
    return grid(file_system=(HERE, *mountable), tracker=_TRACKERS)


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    kind, tracker = str(point["file_system"]), str(point["tracker"])
    if kind == HERE:
        yield from told(laboratory.directory, kind, tracker)
        return
    # Mounts are made where nobody else sees them, and end with the process.
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", __name__]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [*command, kind, tracker, laboratory.directory], stdout=subprocess.PIPE, env=environment, check=True
    )
    yield from json.loads(done.stdout)


def told(directory: str, kind: str, tracker: str) -> Iterator[Row]:
    """A row for each operation, done in ``directory``."""
    for operation, act in OPERATIONS.items():
        tree = os.path.join(directory, "tree")
        os.mkdir(tree)
        prepare(tree)
        rootfs = Rootfs(os.fsencode(tree))
        baseline, _ = Baseline.record(rootfs)
        row: Row = {"file_system": kind, "tracker": tracker, "operation": operation}
        try:
            session = trackers()[tracker].arm(rootfs, baseline)
        except TrackingError as error:
            yield {**row, "told": None, "changes": 0, "found": None, "problem": error.what}
            shutil.rmtree(tree)
            return
        try:
            problem = _problem(act, tree)
            hints = session.settle()
            everywhere = HintSet()
            everywhere.add(b"", "subtree")
            real = baseline.reconcile(rootfs, everywhere, hash="all")
            seen = baseline.reconcile(rootfs, hints)
        finally:
            session.close()
        yield {
            **row,
            "told": len(hints) > 0,
            "changes": len(real),
            "found": [change.path for change in seen.changes] == [change.path for change in real.changes],
            "problem": problem,
        }
        shutil.rmtree(tree)


def _problem(act: Callable[[str], object], tree: str) -> str | None:
    try:
        act(tree)
    except OSError as error:
        return error.strerror
    return None


EXPERIMENT = Experiment(
    name="reports",
    asks="Which changes does the kernel tell of, on which file system, by inotify and by fanotify?",
    method=(
        "In a small tree one operation is done under each tracker. Told: anything was reported at all. Found: the "
        "places that were reported, compared with the baseline, give the same changes as a look at everything. "
        "Other file systems than the directory's own are mounted, by root, in a mount namespace that ends with the "
        "experiment. A tracker that cannot work on a file system has one row, with the reason."
    ),
    columns=(
        Column("file_system", "", "kind, or how it is mounted; here: the directory the experiment is done in"),
        Column("tracker", "", "inotify: a watch on each directory; fanotify: a mark on the file system"),
        Column("operation", "", "what was done"),
        Column("told", "", "whether anything was reported; empty if the tracker does not work"),
        Column("changes", "", "what really changed"),
        Column("found", "", "whether exactly that was found; without a count of hard links, as in `track --json`"),
        Column("problem", "", "why the tracker does not work, or the operation could not be done"),
    ),
    figures=(Figure("Changes found", "marks", "file_system", "found", "operation", below="tracker"),),
    points=_points,
    more=no_more,
    measure=_measure,
    repeat=1,
)


def main() -> None:
    """In a mount namespace of our own: the kind, the tracker and the directory are our arguments."""
    kind, tracker, directory = sys.argv[1:]
    print(json.dumps(list(told(mount(kind, directory), kind, tracker))))


if __name__ == "__main__":
    main()
