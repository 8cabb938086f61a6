"""``track --processes`` as a user types it: who did what, as text and as JSON, and where it cannot be had."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import fswatch_builder
from tests.support.tracking import track

#: Three programs and the shell itself; `dd` overwrites what `cp` made.
SCRIPT = """
cp etc/conf new-by-cp; rm tool; mkdir -p deep/er; printf x | tee deep/er/by-tee; echo 1 >by-the-shell
printf 12345 | dd of=new-by-cp conv=notrunc 2>../dd; touch -r etc/conf etc
"""


def attribution(tree: Path, *arguments: str, script: str = SCRIPT) -> tuple[dict[str, set[str]], dict[str, Any]]:
    """The names of programs by path; and the document's member."""
    told = json.loads(track(tree, "--processes", "--json", *arguments, script=script).stdout)
    who = told["attribution"]
    assert {touched["path"] for touched in who["touched"]} <= {change["path"] for change in told["changes"]}
    names = {
        process["pid"]: {os.path.basename(program) for program in process["programs"]} for process in who["processes"]
    }
    by_path = {touched["path"]: set().union(*(names[pid] for pid in touched["pids"])) for touched in who["touched"]}
    loaders = {name for programs in names.values() for name in programs if name.startswith("ld-")}
    return {path: programs - loaders for path, programs in by_path.items()}, who


def real(program: str) -> str:
    found = subprocess.run(["which", program], capture_output=True, text=True, check=True).stdout.strip()
    return os.path.basename(os.path.realpath(found))


@pytest.mark.root
def test_each_path_has_the_programs_that_touched_it(tree: Path) -> None:
    by_path, who = attribution(tree, "--audit")
    cp, dd, tee, rm, shell = (real(name) for name in ("cp", "dd", "tee", "rm", "sh"))
    assert by_path["new-by-cp"] == {cp, dd}
    assert by_path["deep/er/by-tee"] == {tee}
    assert by_path["tool"] == {rm}
    assert by_path["by-the-shell"] == {shell}
    assert by_path["deep/er"] == {real("mkdir")}
    assert who["complete"]
    assert all(process["state"] in ("seen", "started") for process in who["processes"])


@pytest.mark.root
def test_the_report_tells_programs_and_numbers_below_each_change(tree: Path) -> None:
    done = track(tree, "--processes", script="cp etc/conf new; rm tool")
    assert re.search(rf"^  A  new .*\n       by /\S*/{real('cp')} \(\d+\)$", done.stderr, re.MULTILINE)
    assert re.search(rf"^  D  tool .*\n       by /\S*/{real('rm')} \(\d+\)$", done.stderr, re.MULTILINE)


@pytest.mark.root
def test_another_process_than_the_command_s_is_told_as_itself(tree: Path) -> None:
    """A change is anybody's: so it is seen whose."""
    with subprocess.Popen(
        [sys.executable, "-c", f"input(); open('{tree}/tool', 'a').write('x'); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        script = f"import os; os.write({other.stdin.fileno()}, b'\\n'); os.read({other.stdout.fileno()}, 1)"
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "fswatch_builder",
                "track",
                "--processes",
                "--json",
                tree,
                sys.executable,
                "-c",
                script,
            ],
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            pass_fds=[other.stdin.fileno(), other.stdout.fileno()],
            capture_output=True,
            text=True,
            check=True,
        )
        other.stdin.write("\n")
    who = json.loads(done.stdout)["attribution"]
    assert [touched["pids"] for touched in who["touched"] if touched["path"] == "tool"] == [[other.pid]]
    (process,) = (process for process in who["processes"] if process["pid"] == other.pid)
    assert process["programs"] == [os.path.realpath(sys.executable)]
    assert process["arguments"][0] == sys.executable


@pytest.mark.root
@pytest.mark.parametrize("tracker", ["inotify", "scan", "overlay"])
def test_a_tracker_that_cannot_tell_is_refused_with_the_reason_before_the_command(tree: Path, tracker: str) -> None:
    done = track(tree, "--processes", "--tracker", tracker, check=False)
    assert done.returncode == 7
    assert done.stderr.startswith(f"ERROR: the {tracker} tracker cannot tell processes: ")
    assert (tree / "old").exists()


@pytest.mark.root
def test_without_the_right_to_it_processes_are_refused_and_nothing_falls_back(tree: Path) -> None:
    command = [sys.executable, "-m", "fswatch_builder", "track", "--processes", str(tree), "touch", f"{tree}/new"]
    done = subprocess.run(
        ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-all", *command],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7
    assert "ERROR: processes cannot be told here: fanotify: CAP_SYS_ADMIN is missing" in done.stderr
    assert not (tree / "new").exists()


@pytest.mark.root
def test_unless_asked_for_nobody_is_told(tree: Path) -> None:
    assert "attribution" not in json.loads(track(tree, "--json").stdout)
    assert not re.search(r"^ *by /", track(tree, script="touch again").stderr, re.MULTILINE)


def test_the_option_comes_from_the_environment_too(tree: Path) -> None:
    done = fswatch_builder(
        "track", "--tracker", "scan", str(tree), "true", env={"FSWATCH_BUILDER_TRACK_PROCESSES": "1"}, check=False
    )
    assert done.returncode == 7
    assert "the scan tracker cannot tell processes" in done.stderr
