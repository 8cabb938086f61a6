"""`limits` as a user types it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Unpack

import pytest

from fswatch_builder.research.limits.registry import experiments
from tests.support.cli import Running, fswatch_builder
from tests.support.ordinary_user import NOBODY, as_user, python_as_user


def limits(*arguments: str, **options: Unpack[Running]) -> subprocess.CompletedProcess[str]:
    return fswatch_builder("limits", *arguments, **options)


def test_rows_a_dictionary_and_the_way_to_do_it_again_are_written(tmp_path: Path) -> None:
    out, place = tmp_path / "out", tmp_path / "place"
    place.mkdir()
    done = limits("coalescing", "shared", "--out", str(out), "--directory", str(place))
    assert "How many events are spared" in done.stdout
    assert sorted(os.listdir(out)) == ["coalescing.csv", "coalescing.json", "shared.csv", "shared.json"]
    assert os.listdir(place) == []
    document = json.loads((out / "coalescing.json").read_text())
    described = {column["name"] for column in document["columns"]}
    assert all(set(row) == described for row in document["rows"])
    assert all(column["meaning"] for column in document["columns"])
    assert document["command"].startswith("fswatch-builder limits coalescing shared")
    assert (out / "coalescing.csv").read_text().count("\n") == len(document["rows"]) + 1


def test_all_are_listed() -> None:
    listed = limits("--list").stdout
    assert "break-even" in listed
    assert "needs CAP_SYS_ADMIN" in listed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dance"], "there is no experiment 'dance'"),
        (["clock", "--directory", "missing"], "missing is not a directory"),
        (["clock", "--repeat", "0"], "0 is not in the range"),
        (["queue-limit"], "it sets fs.inotify.max_queued_events, for everybody, and that has to be allowed"),
    ],
)
def test_what_cannot_be_found_out_is_told(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = limits(*arguments, check=False, cwd=str(tmp_path))
    assert done.returncode == 2
    assert says in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.root  # to become somebody else
def test_an_ordinary_user_gets_what_needs_no_root_and_is_told_of_the_rest(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    done = as_user(tmp_path, "limits", "clock", "coalescing", "newdirs", "--repeat", "1", "--directory", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "hints and baseline" in done.stdout
    refused = as_user(tmp_path, "limits", "foreign", "--directory", str(tmp_path))
    assert refused.returncode == 2
    assert "needs root" in refused.stderr


_EVERYTHING = """
import os, sys
from fswatch_builder.research.limits.experiment import Laboratory
from fswatch_builder.research.limits.registry import experiments
from fswatch_builder.research.machine import describe
machine = describe(sys.argv[1])
assert not machine.is_root
for name, made in experiments().items():
    if made.needs_root:
        continue
    place = os.path.join(sys.argv[1], name)
    os.mkdir(place)
    for row in made.measure(Laboratory(place, machine, 1), made.points(machine)[0]):
        made.check(row)
    print(name)
"""


@pytest.mark.root  # to become somebody else
def test_an_ordinary_user_can_do_every_experiment_that_does_not_say_otherwise(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    done = python_as_user(tmp_path, "-c", _EVERYTHING, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {name for name, made in experiments().items() if not made.needs_root}


def test_the_document_says_who_can_do_it(tmp_path: Path) -> None:
    limits("shared", "--out", str(tmp_path / "out"), "--directory", str(tmp_path))
    document = json.loads((tmp_path / "out" / "shared.json").read_text())
    assert (document["needs_root"], document["changes_host"]) == ("", "")
    assert document["settings"]["seed"] == 1
