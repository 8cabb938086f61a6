"""A tree as an image that others can build on: its programs, its Dockerfiles, who serves meanwhile."""

import json
import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from fswatch_builder.errors import BuildError
from fswatch_builder.research.bench.tree_image import jobs_of
from fswatch_builder.research.peers.apart import Apart
from fswatch_builder.research.peers.programs import bring
from fswatch_builder.research.workloads.registry import workloads
from fswatch_builder.runtime.command import run_command


def test_programs_work_where_there_is_nothing_else(tmp_path: Path) -> None:
    bring(("sh", "cat", "tr"), str(tmp_path))
    assert {"sh", "cat", "tr"} == set(os.listdir(tmp_path / "bin"))
    if os.geteuid() == 0:
        words = ["chroot", str(tmp_path), "/bin/sh", "-c", "echo one | tr o u | cat"]
        assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "une\n"


def test_a_program_that_is_not_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no-such-program is not on PATH"):
        bring(("no-such-program",), str(tmp_path))


def test_a_workload_brings_every_program_that_it_needs() -> None:
    for workload in workloads().values():
        assert workload.programs is None or set(workload.needs) <= set(workload.programs)


def test_a_builder_runs_the_same_words_and_finds_beside_the_tree_what_they_need(tmp_path: Path) -> None:
    known = workloads()
    chosen = [known["one-percent"], known["compile"]]
    commands = {
        "one-percent": ["xargs", "-0", "-a", f"{tmp_path}/scratch/one-percent/list", "sh", "-c", 'echo "$x"\n', "sh"],
        "compile": ["cc"],
    }
    jobs = jobs_of(chosen, commands, f"{tmp_path}/scratch", str(tmp_path))
    assert list(jobs) == ["one-percent"]
    with open(jobs["one-percent"].dockerfile) as file:
        lines = file.read().splitlines()
    assert lines[:3] == ["FROM localhost/bench-base", "WORKDIR /tree", 'RUN ["/bin/true"]']
    assert json.loads(lines[3].removeprefix("RUN ")) == [
        *("/bin/xargs", "-0", "-a", "/scratch/one-percent/list", "sh", "-c", 'echo "$x"\n', "sh")
    ]
    assert len(lines) == 4


def test_who_serves_meanwhile_is_not_taken_for_a_process_of_the_command(tmp_path: Path) -> None:
    log = tmp_path / "log"
    serving = Apart(["sh", "-c", "echo here; exec sleep 1000"], str(log))
    try:
        assert run_command([b"true"], witness=False).survivors == 0
        assert not serving.has_ended(0)
    finally:
        serving.end(signal.SIGTERM, 10)
    assert serving.has_ended(0)
    assert log.read_text() == "here\n"
    serving.end(signal.SIGTERM, 10)


def test_who_does_not_end_when_asked_is_killed() -> None:
    deaf = Apart(["sh", "-c", "trap '' TERM; exec sleep 1000"], os.devnull)
    descriptor = os.pidfd_open(deaf.pid)
    try:
        deaf.end(signal.SIGTERM, 0)
        assert select.select([descriptor], [], [], 0)[0] == [descriptor]
    finally:
        os.close(descriptor)
