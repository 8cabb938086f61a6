"""Workloads that bring files into the tree, or take others in exchange."""

import os
import random
import subprocess
import tarfile
from collections.abc import Sequence
from io import BytesIO

from fswatch_builder.research.workloads.workload import Tools, Workload, nothing_to_plant

_UNTARRED, _UNTARRED_SIZE, _UNTARRED_DIRECTORIES = 2_000, 9_150, 200
_COMPILED = 20
_CHECKED_OUT = 500
_STORM_FILES = 10_000
_STORM_WRITES = 200_000
_HOME = ".bench"

_UNIT = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct s{n} {{ int a; char b[{n} + 8]; }};
int f{n}(const char *text)
{{
    struct s{n} s;
    memset(&s, {n}, sizeof s);
    return printf("%s %d", text, s.a) + atoi(text);
}}
"""


def _untar(tree: str, tools: Tools) -> Sequence[str]:
    del tree
    path = os.path.join(tools.scratch, "untar.tar")
    draw = random.Random(1)
    with tarfile.open(path, "w") as archive:
        for number in range(_UNTARRED):
            member = tarfile.TarInfo(f"{_HOME}/untarred/{number % _UNTARRED_DIRECTORIES}/{number}")
            member.size = _UNTARRED_SIZE
            archive.addfile(member, BytesIO(draw.randbytes(_UNTARRED_SIZE)))
    return ["tar", "--no-same-owner", "-xf", path]


def _plant_sources(tree: str, tools: Tools) -> None:
    del tools
    home = os.path.join(tree, _HOME, "compile")
    os.makedirs(home)
    for number in range(_COMPILED):
        with open(os.path.join(home, f"{number}.c"), "w") as file:
            file.write(_UNIT.format(n=number))


def _compile(tree: str, tools: Tools) -> Sequence[str]:
    del tree, tools
    return ["sh", "-c", f'cd {_HOME}/compile && for source in *.c; do cc -O1 -c "$source" || exit 1; done']


def _plant_repository(tree: str, tools: Tools) -> None:
    del tools
    home = os.path.join(tree, _HOME, "repository")
    os.makedirs(home)
    _git(home, "init", "--quiet", "--initial-branch", "old")
    draw = random.Random(2)
    for branch in ("old", "new"):
        if branch == "new":
            _git(home, "checkout", "--quiet", "-b", "new")
        for number in range(_CHECKED_OUT):
            path = os.path.join(home, f"{number % 25:02}", f"{number}.txt")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(b"%s %d\n" % (branch.encode(), number) * draw.randint(10, 200))
        _git(home, "add", "--all")
        _git(home, "commit", "--quiet", "--message", branch)
    _git(home, "checkout", "--quiet", "old")


def _checkout(tree: str, tools: Tools) -> Sequence[str]:
    del tree, tools
    return ["git", "-c", "safe.directory=*", "-C", f"{_HOME}/repository", "checkout", "--quiet", "new"]


def _git(home: str, *words: str) -> None:
    fixed = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _WHO.items()}
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", **fixed}
    subprocess.run(["git", *words], cwd=home, env=environment, check=True, stdout=subprocess.DEVNULL)


_WHO = {"NAME": "bench", "EMAIL": "bench@localhost", "DATE": "2024-01-01T00:00:00Z"}


def _storm_of_names(tree: str, tools: Tools) -> Sequence[str]:
    del tree, tools
    make = f"seq {_STORM_FILES} | split -l 1 -a 4 - {_HOME}-storm/s"
    return ["sh", "-c", f"mkdir {_HOME}-storm && {make} && rm -r {_HOME}-storm && mkdir {_HOME}-storm && {make}"]


def _storm_of_writes(tree: str, tools: Tools) -> Sequence[str]:
    del tree, tools
    return ["dd", "if=/dev/zero", f"of={_HOME}-storm", "bs=1", f"count={_STORM_WRITES}", "status=none"]


MAKING = (
    Workload("untar", "tar -x of 2,000 files, 18 MB", nothing_to_plant, _untar, ("tar",), programs=("tar",)),
    Workload("compile", "cc -c of 20 files", _plant_sources, _compile, ("cc",)),
    Workload(
        "checkout", "git checkout that changes 500 files", _plant_repository, _checkout, ("git",), programs=("git",)
    ),
    Workload(
        "storm-names",
        "10,000 files made, removed and made",
        nothing_to_plant,
        _storm_of_names,
        ("split", "seq"),
        programs=("sh", "mkdir", "seq", "split", "rm"),
    ),
    Workload(
        "storm-writes", "200,000 writes of a byte to one file", nothing_to_plant, _storm_of_writes, programs=("dd",)
    ),
)
