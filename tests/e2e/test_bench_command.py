"""`bench` as a user types it. What it says of time is not looked at; what it says of truth is."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Unpack

import pytest

from tests.support.cli import Running, fswatch_builder

pytestmark = pytest.mark.root

#: JSON, as it was read.
Document = dict[str, Any]


def bench(*arguments: str, **options: Unpack[Running]) -> subprocess.CompletedProcess[str]:
    return fswatch_builder("bench", *arguments, **options)


def results(path: Path) -> tuple[Document, dict[tuple[str, str], Document]]:
    document = json.loads(path.read_text())
    return document, {
        (summary["cell"]["workload"], summary["cell"]["strategy"]): summary
        for judged in document["results"]
        for summary in judged["contest"]["summaries"]
    }


def test_time_alone_is_seen_to_miss_what_keeps_it_and_who_watches_misses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    workloads = ("disguised", "swapped", "modes", "one-file", "remove")
    asked = [word for name in workloads for word in ("--workload", name)]
    done = bench("--corpus", "wide-300", *asked, "--repeat", "1", "--directory", str(tmp_path), "--json", str(out))
    document, found = results(out)
    for strategy in ("fanotify", "inotify", "overlay", "scan", "scan-hash"):
        for workload in workloads:
            assert (found[workload, strategy]["missed"], found[workload, strategy]["spurious"]) == (0, 0)
    assert [found[workload, "scan-time"]["missed"] for workload in workloads] == [10, 2, 10, 0, 0]
    assert [found[workload, "scan-meta"]["missed"] for workload in workloads] == [10, 2, 0, 0, 0]
    assert document["trees"][0]["name"] == "wide-300"
    assert len(document["rows"]) == len(workloads) * 8
    assert "use " in done.stdout
    assert os.listdir(tmp_path) == ["results.json"]


def changed_at(tree: Path) -> dict[Path, int]:
    return {path: path.lstat().st_ctime_ns for path in (tree, *tree.rglob("*"))}


def test_a_users_own_tree_is_measured_on_a_copy_and_only_read(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").write_text("content")
    before = changed_at(tree)
    done = bench(
        "--tree", str(tree), "--strategy", "fanotify,scan", "--repeat", "2", "--", "sh", "-c", "rm -r sub; echo loud"
    )
    assert "loud" not in done.stdout
    assert "a RUN" in done.stdout.splitlines()[-1] or "cost the same" in done.stdout.splitlines()[-1]
    assert changed_at(tree) == before


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--tree", "missing", "--", "true"], 2, "missing is not a directory"),
        (["--tree", "."], 2, "no command to measure"),
        (["--", "true"], 2, "measured on a tree"),
        (["--", "make", "install"], 2, "measured on a tree"),
        (["-f", "Dockerfile"], 2, "--file is for the build of a Dockerfile"),
        (["--tree", ".", "--", "no-such-program"], 127, "command not found"),
        (["--tree", ".", "--", "sh", "-c", "echo why; exit 3"], 1, "ends with status 3, having said: why"),
        (["--tree", ".", "--corpus", "wide-1k", "--", "true"], 2, "measured with its own command"),
        (["--corpus", "round-1k"], 2, "there is no corpus 'round-1k'"),
        (["--corpus", "wide-many"], 2, "no number of files"),
        (["--workload", "dance"], 2, "there is no workload 'dance'"),
        (["--strategy", "guess"], 2, "there is no strategy 'guess'"),
        (["--corpus", "wide-900M"], 1, "two copies of wide-900M take"),
        (["--cache", "tepid"], 2, "there are warm and cold-files"),
        (["--cache", "cold"], 2, "--cold makes everything cold"),
        (["--cold", "--cache", "cold-files"], 2, "give one of them"),
        (["--cold", "--directory", "/dev/shm"], 2, "ever cold"),
        (["--workload", "apt-install", "--corpus", "wide-1k"], 2, "works on corpus debian alone"),
        (["--directory", "missing"], 2, "missing is not a directory"),
        (["--json", "missing/file"], 9, "missing/file"),
        (["--tree", ".", "--peers", "auto", "--", "true"], 2, "--peers is not for a tree of your own"),
        (["--peers", "auto", "--quick"], 2, "no time for --peers"),
        (["--peers", "auto", "--cache", "cold-files"], 2, "--peers and --cache cold-files"),
        (["--peers", "docker"], 2, "no builder 'docker'"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line_before_anything_is(
    tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    done = bench(*arguments, check=False, cwd=str(tmp_path))
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert os.listdir(tmp_path) == []


HASTY = """#!/bin/sh
for last do :; done
case " $* " in
    " --version ") echo "buildah version 9.9" ;;
    *" pull "*) cp "${last#docker-archive:}" "$STATE/base.tar" ;;
    *" build "*)
        for word do [ "$previous" != -f ] || dockerfile=$word; previous=$word; done
        [ ! -e "$STATE/out.tar" ] || rm "$STATE/out.tar"
        "$PYTHON" -m fswatch_builder build --quiet --store "$STATE/store" --no-cache --tracker scan --hash none \
            --build-context "localhost/bench-base=$STATE/base.tar" -o "type=oci,dest=$STATE/out.tar" \
            -f "$dockerfile" "$last" || exit
        echo "STEP 1/2: RUN first"; echo "STEP 2/2: RUN second" ;;
    *" push "*) cp "$STATE/out.tar" "${last#oci-archive:}" ;;
esac
"""


def test_builders_are_measured_on_made_trees_and_their_layers_judged(tmp_path: Path) -> None:
    """One pretends to be buildah, and goes by time, size and mode."""
    out, trees, state, programs = (tmp_path / name for name in ("out.json", "trees", "state", "bin"))
    for place in (trees, state, programs):
        place.mkdir()
    (programs / "buildah").write_text(HASTY)
    (programs / "buildah").chmod(0o755)
    workloads = ("disguised", "swapped", "one-file", "remove", "compile")
    done = bench(
        *("--corpus", "wide-300", "--strategy", "scan", "--peers", "buildah", "--repeat", "1", "--json", str(out)),
        *(word for name in workloads for word in ("--workload", name)),
        *("--directory", "trees", "--html", "out.html"),
        cwd=str(tmp_path),
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "STATE": str(state),
            "PYTHONPATH": os.getcwd(),
        },
    )
    document = json.loads(out.read_text())
    found = {
        judged["contest"]["workload"]: {it["builder"]: it for it in judged["contest"]["builders"]}
        for judged in document["results"]
    }
    hasty = {name: (it["buildah"]["missed"], it["buildah"]["spurious"]) for name, it in found.items() if it}
    assert hasty == {"disguised": (10, 0), "swapped": (2, 0), "one-file": (0, 0), "remove": (0, 0)}
    ours = [it["fswatch-builder auto"] for it in found.values() if it]
    assert [(it["missed"], it["spurious"]) for it in ours] == [(0, 0)] * 4
    assert all(it["whole"]["median"] > it["run"]["median"] for it in ours)
    assert "buildah, fswatch-builder auto: more than programs" in done.stdout
    assert [it["version"] for it in document["plan"]["builders"]][1] == "buildah version 9.9"
    assert "(changes: 10 missed)" in (tmp_path / "out.html").read_text()
    assert os.listdir(trees) == []


def test_an_interrupted_run_keeps_its_rows_and_goes_on(tmp_path: Path) -> None:
    out, trees = tmp_path / "results.json", tmp_path / "trees"
    trees.mkdir()
    arguments = ["--corpus", "wide-300", "--workload", "nothing", "--strategy", "scan", "--repeat", "60"]
    arguments += ["--directory", str(trees), "--json", str(out)]
    command = [sys.executable, "-m", "fswatch_builder", "bench", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process:
        for line in process.stderr:
            if "trials, about" in line:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "are kept in" in said
    assert os.listdir(trees) == []
    kept = (tmp_path / "results.json.part").read_bytes().count(b"\n") - 1
    assert 2 <= kept < 120
    fewer = bench(*arguments[:7], "61", *arguments[8:], check=False)
    assert "another run" in fewer.stderr
    done = bench(*arguments)
    assert f"{kept:,} of 120 trials are there already" in done.stderr
    document, _ = results(out)
    assert len(document["rows"]) == 120
    assert sorted(os.listdir(tmp_path)) == ["results.json", "trees"]


def test_a_list_tells_what_there_is() -> None:
    listed = bench("--list").stdout
    for name in ("wide", "disguised", "scan-hash"):
        assert f"  {name} " in listed
