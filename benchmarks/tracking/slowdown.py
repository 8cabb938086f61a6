"""What watching costs the watched command: the same command with nobody watching and with each tracker."""

import os
import random
import resource
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO

from benchmarks.peers.compiled import compiled
from benchmarks.row import Row, in_turns, row, seconds
from benchmarks.tracking.ground import Ground, baseline_of
from fswatch_builder._native import Rootfs
from fswatch_builder.tracking.protocol import Tracker

UNWATCHED = "unwatched"
#: By tracker: the same kind of events, which nobody looks at (`peers/heed.c`). No tracker can cost less.
HEEDED = {"fanotify": "fanotify events thrown away", "inotify": "inotify events thrown away"}
CREATED = 100_000
UNTARRED, UNTARRED_SIZE, UNTARRED_DIRECTORIES = 5_900, 9_150, 590
COMPILED = 40
#: These runs are short, and what disturbs them is as large as what is looked for.
TURNS = 3

UNIT = """#include <stdio.h>
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


@dataclass(frozen=True, slots=True)
class Command:
    """``argv`` is run in a directory that ``prepare`` filled; watching may make it ``most`` times as long."""

    name: str
    prepare: Callable[[str], None]
    argv: list[str]
    most: float


def _directories(count: int) -> Callable[[str], None]:
    def make(directory: str) -> None:
        for number in range(count):
            os.mkdir(os.path.join(directory, str(number)))

    return make


def _archive(path: str) -> None:
    source = random.Random(1)
    with tarfile.open(path, "w") as archive:
        for number in range(UNTARRED):
            member = tarfile.TarInfo(f"{number % UNTARRED_DIRECTORIES}/{number}")
            member.size = UNTARRED_SIZE
            archive.addfile(member, BytesIO(source.randbytes(UNTARRED_SIZE)))


def _sources(directory: str) -> None:
    for number in range(COMPILED):
        with open(os.path.join(directory, f"{number}.c"), "w") as file:
            file.write(UNIT.format(n=number))


def _commands(work: str) -> list[Command]:
    archive = os.path.join(work, "archive.tar")
    _archive(archive)
    untar = ["tar", "--no-same-owner", "-xf", archive]
    compile_all = ["sh", "-c", 'for source in *.c; do cc -O1 -c "$source" || exit 1; done']
    return [
        Command("untar", lambda _: None, untar, 1.15),
        Command("untar into known directories", _directories(UNTARRED_DIRECTORIES), untar, 1.15),
        Command("100,000 creations", _directories(CREATED // 100), [compiled("create", work), ".", str(CREATED)], 1.15),
        Command(f"{COMPILED} compilations", _sources, compile_all, 1.05),
    ]


def _run(command: Command, place: str, tracker: Tracker | None) -> tuple[float, float, float]:
    """Milliseconds of the wall clock, milliseconds the command ran on processors, and whether events were lost."""
    with tempfile.TemporaryDirectory(dir=place, prefix="watched-") as directory:
        command.prepare(directory)
        rootfs = Rootfs(os.fsencode(directory))
        baseline = baseline_of(rootfs)
        # What the last run left to write is no cost of this one.
        os.sync()
        session = None if tracker is None else tracker.arm(rootfs, baseline)
        try:
            before = processor_seconds()
            taken = seconds(lambda: subprocess.run(command.argv, cwd=directory, check=True, stdout=subprocess.DEVNULL))
            used = processor_seconds() - before
            lost = session is not None and any(reason == "queue-overflow" for reason, _ in session.settle().losses)
        finally:
            if session is not None:
                session.close()
        return taken * 1000, used * 1000, lost


def processor_seconds() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def slowdown_rows(ground: Ground, repeat: int) -> Iterator[Row]:
    """For every tracker that goes by events; each command is run ``TURNS`` times ``repeat`` times.

    Processor time has no goal: the waiting for a lock is not in it. It tells on a busy machine what the clock hides.
    Events are lost when the reader is kept from running for longer than the queue lasts.
    """
    repeat *= TURNS
    watched: dict[str, Tracker | None] = {UNWATCHED: None}
    watched |= {name: tracker for name, tracker in ground.trackers().items() if name != "scan"}
    heed = compiled("heed", ground.work)
    for command in _commands(ground.work):
        runs = {name: partial(_run, command, ground.work, tracker) for name, tracker in watched.items()}
        for name in watched.keys() & HEEDED.keys():
            heeded = replace(command, argv=[heed, name, *command.argv])
            runs[HEEDED[name]] = partial(_run, heeded, ground.work, None)
        figures = in_turns(runs, repeat)
        walls, used, lost = (
            {name: [run[part] for run in taken] for name, taken in figures.items()} for part in range(3)
        )
        for name in sorted(watched.keys() - {UNWATCHED}):
            for what, of, most in ((command.name, walls, command.most), (f"{command.name}, processor", used, None)):
                yield row(what, name, 0, of[name], "ms", peer=UNWATCHED, peer_values=of[UNWATCHED], most=most)
            if name in HEEDED:
                least = HEEDED[name]
                yield row(command.name, least, 0, walls[least], "ms", peer=UNWATCHED, peer_values=walls[UNWATCHED])
            yield row(f"{command.name}, runs that lost events", name, 0, [sum(lost[name])], f"of {repeat}", most=0)
