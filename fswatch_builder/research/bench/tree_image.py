"""A planted tree as an image, and each workload as the Dockerfile that runs it there.

The command is the one that strategies are measured with, word for word, and runs in the tree. Beside the tree the image
has the programs that commands are, of this machine, and what they need beside the tree.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence

from fswatch_builder._native import remove_tree
from fswatch_builder.research.bench.ground import copy_tree
from fswatch_builder.research.peers import programs
from fswatch_builder.research.peers.base_archive import base_archive
from fswatch_builder.research.peers.peer import BASE, Job
from fswatch_builder.research.workloads.workload import Workload

TREE, SCRATCH = "tree", "scratch"
_FIRST = "true"
"""A RUN before the one that is looked at: what a builder does once it does there, as kaniko its first look at all."""


def write_base(pristine: str, scratch: str, workloads: Iterable[Workload], archive: str, directory: str) -> None:
    """Writes the image, as an archive; ``directory`` has room for three copies. BuildError."""
    root = os.path.join(directory, "root")
    os.mkdir(root)
    try:
        copy_tree(pristine, os.path.join(root, TREE))
        copy_tree(scratch, os.path.join(root, SCRATCH))
        programs.bring((_FIRST, *(name for workload in workloads for name in workload.programs or ())), root)
        base_archive(root, BASE, archive, directory)
    finally:
        remove_tree(os.fsencode(root))


def jobs_of(
    workloads: Iterable[Workload], commands: Mapping[str, Sequence[str]], scratch: str, directory: str
) -> dict[str, Job]:
    """What is to be built, by workload, those left out that no builder can be brought the programs for."""
    context = os.path.join(directory, "context")
    os.mkdir(context)
    found: dict[str, Job] = {}
    for workload in workloads:
        if workload.programs is None:
            continue
        words = [word.replace(scratch, f"/{SCRATCH}") for word in commands[workload.name]]
        dockerfile = os.path.join(directory, f"Dockerfile.{workload.name}")
        with open(dockerfile, "w") as file:
            file.write(_dockerfile([f"/{programs.PLACE}/{words[0]}", *words[1:]]))
        found[workload.name] = Job(context, dockerfile)
    return found


def _dockerfile(argv: Sequence[str]) -> str:
    first = f"/{programs.PLACE}/{_FIRST}"
    return f"FROM {BASE}\nWORKDIR /{TREE}\nRUN {json.dumps([first])}\nRUN {json.dumps(argv)}\n"
