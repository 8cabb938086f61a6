"""``track --processes`` as a user types it: who did what, as text and as JSON, and where it cannot be had."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import fswatch_builder
from tests.support.tracking import track

#: Three programs and the shell itself; `dd` overwrites what `cp` made.
SCRIPT = """
cp etc/conf new-by-cp; rm tool; mkdir -p deep/er; printf x | tee deep/er/by-tee; echo 1 >by-the-shell
printf 12345 | dd of=new-by-cp conv=notrunc 2>../dd; touch -r etc/conf etc
"""


@pytest.fixture
def programs(tree: Path) -> dict[str, str]:
    """An environment whose programs are beside the tree: those of a root on an overlay start unheard."""
    beside = tree.with_name("programs")
    beside.mkdir()
    for name in ("cp", "rm", "mkdir", "tee", "dd", "touch", "sh"):
        found = shutil.which(name)
        assert found is not None
        shutil.copy(os.path.realpath(found), beside / name)
    return {"PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"}


def tracked(tree: Path, programs: dict[str, str], script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["track", "--processes", *arguments, str(tree), "--", "sh", "-ec", script]
    return fswatch_builder(*command, cwd=str(tree), env=programs)


@pytest.mark.root
def test_each_path_has_the_programs_that_touched_it(tree: Path, programs: dict[str, str]) -> None:
    told = json.loads(tracked(tree, programs, SCRIPT, "--json", "--audit").stdout)
    who = told["attribution"]
    assert {touched["path"] for touched in who["touched"]} <= {change["path"] for change in told["changes"]}
    names = {
        process["pid"]: {os.path.basename(program) for program in process["programs"]} for process in who["processes"]
    }
    loaders = {name for programs in names.values() for name in programs if name.startswith("ld-")}
    by_path = {
        touched["path"]: set().union(*(names[pid] for pid in touched["pids"])) - loaders for touched in who["touched"]
    }
    assert by_path["new-by-cp"] == {"cp", "dd"}
    assert by_path["deep/er/by-tee"] == {"tee"}
    assert by_path["tool"] == {"rm"}
    assert by_path["by-the-shell"] == {"sh"}
    assert by_path["deep/er"] == {"mkdir"}
    assert who["complete"]
    assert all(process["state"] in ("seen", "started") for process in who["processes"])


@pytest.mark.root
def test_the_report_tells_programs_and_numbers_below_each_change(tree: Path, programs: dict[str, str]) -> None:
    told = tracked(tree, programs, "cp etc/conf new; rm tool").stderr
    assert re.search(r"^  A  new .*\n       by /\S*/cp \(\d+\)$", told, re.MULTILINE)
    assert re.search(r"^  D  tool .*\n       by /\S*/rm \(\d+\)$", told, re.MULTILINE)


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
