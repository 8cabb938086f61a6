"""Workloads that change files of the tree as it is."""

import os
from collections.abc import Sequence

from fswatch_builder.research.workloads.files import drawn_files, files_of, write_list
from fswatch_builder.research.workloads.workload import Tools, Workload, nothing_to_plant

_APPEND = 'for file do printf x >> "$file"; done'
#: Same size, same time, another content: what build tools do that want to be incremental.
_DISGUISE = """
for file do
    touch -r "$file" "$0"
    tr 0-8a-y 1-9b-z < "$file" > "$0.new"
    cat "$0.new" > "$file"
    touch -r "$0" "$file"
done
"""

_TWINS, _TWINS_TIME = ".bench/twins", 1_700_000_000


def _nothing(tree: str, tools: Tools) -> Sequence[str]:
    del tree, tools
    return ["true"]


def _one_file(tree: str, tools: Tools) -> Sequence[str]:
    del tools
    return ["sh", "-c", _APPEND, "sh", *drawn_files(tree, 1)]


def _one_percent(tree: str, tools: Tools) -> Sequence[str]:
    names = drawn_files(tree, max(1, len(files_of(tree)) // 100))
    listed = write_list(os.path.join(tools.scratch, "one-percent"), names)
    return ["xargs", "-0", "-a", listed, "sh", "-c", _APPEND, "sh"]


def _disguised(tree: str, tools: Tools) -> Sequence[str]:
    return ["sh", "-c", _DISGUISE, os.path.join(tools.scratch, "reference"), *drawn_files(tree, 10)]


def _modes(tree: str, tools: Tools) -> Sequence[str]:
    del tools
    return ["chmod", "o-r", *drawn_files(tree, 10)]


def _plant_twins(tree: str, tools: Tools) -> None:
    del tools
    home = os.path.join(tree, _TWINS)
    os.makedirs(home)
    for name, content in (("one", b"1"), ("other", b"2")):
        with open(os.path.join(home, name), "wb") as file:
            file.write(content * 64)
        os.utime(file.name, (_TWINS_TIME, _TWINS_TIME))
    os.utime(home, (_TWINS_TIME, _TWINS_TIME))


def _swapped(tree: str, tools: Tools) -> Sequence[str]:
    del tree, tools
    swap = "mv one between && mv other one && mv between other"
    return ["sh", "-c", f"cd {_TWINS} && {swap} && touch -d @{_TWINS_TIME} ."]


def _chmod_all(tree: str, tools: Tools) -> Sequence[str]:
    del tree, tools
    return ["chmod", "-R", "g+w", "."]


def _remove(tree: str, tools: Tools) -> Sequence[str]:
    del tools
    first = min(entry.path for entry in os.scandir(tree) if entry.is_dir(follow_symlinks=False))
    return ["rm", "-r", os.path.relpath(first, tree)]


CHANGING = (
    Workload("nothing", "true(1)", nothing_to_plant, _nothing, programs=("true",)),
    Workload("one-file", "appends a byte to one file", nothing_to_plant, _one_file, programs=("sh",)),
    Workload(
        "one-percent",
        "appends a byte to one file in a hundred",
        nothing_to_plant,
        _one_percent,
        ("xargs",),
        programs=("xargs", "sh"),
    ),
    Workload(
        "disguised",
        "ten files of other content, with size and time as they were",
        nothing_to_plant,
        _disguised,
        programs=("sh", "touch", "tr", "cat"),
    ),
    Workload(
        "swapped",
        "two files of one size and time change places",
        _plant_twins,
        _swapped,
        programs=("sh", "mv", "touch"),
    ),
    Workload("modes", "chmod of ten files", nothing_to_plant, _modes, programs=("chmod",)),
    Workload("chmod-all", "chmod -R of everything", nothing_to_plant, _chmod_all, programs=("chmod",)),
    Workload("remove", "rm -r of the first directory", nothing_to_plant, _remove, programs=("rm",)),
)
