"""`limits` as a user types it."""

import json
import os

import pytest

from tests.support.cli import fswatch_builder
from tests.support.ordinary_user import NOBODY, as_user


def limits(*arguments, **options):
    return fswatch_builder("limits", *arguments, **options)


def test_rows_a_dictionary_and_the_way_to_do_it_again_are_written(tmp_path):
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


def test_all_are_listed():
    listed = limits("--list").stdout
    assert "break-even" in listed
    assert "needs CAP_SYS_ADMIN" in listed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dance"], "there is no experiment 'dance'"),
        (["clock", "--directory", "missing"], "missing is not a directory"),
        (["clock", "--repeat", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_found_out_is_told(tmp_path, arguments, says):
    done = limits(*arguments, check=False, cwd=str(tmp_path))
    assert done.returncode == 2
    assert says in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.root  # to become somebody else
def test_an_ordinary_user_gets_what_needs_no_root_and_is_told_of_the_rest(tmp_path):
    os.chown(tmp_path, NOBODY, NOBODY)
    done = as_user(tmp_path, "limits", "clock", "coalescing", "newdirs", "--repeat", "1", "--directory", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "hints and baseline" in done.stdout
    refused = as_user(tmp_path, "limits", "foreign", "--directory", str(tmp_path))
    assert refused.returncode == 2
    assert "needs root" in refused.stderr
