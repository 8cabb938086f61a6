"""What the shell is told when TAB is pressed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.images import make_image, put_in_store

PROGRAM = "import sys; sys.argv[0] = 'fswatch-builder'; from fswatch_builder.cli.entry import main; main()"


def completed(words: str, store: Path) -> list[str]:
    asked = {"_FSWATCH_BUILDER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    environment = {**os.environ, **asked, "FSWATCH_BUILDER_STORE": str(store)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True
    ).stdout.split()


@pytest.mark.parametrize("command", ["inspect", "history", "cat", "run", "diff other:2", "inspect other:2"])
def test_names_of_images(tmp_path: Path, command: str) -> None:
    put_in_store(tmp_path / "store", {"app:1": make_image(), "other:2": make_image([{"x": b"x"}])})
    assert completed(f"fswatch-builder {command} a", tmp_path / "store") == ["app:1"]


def test_where_there_is_no_store_there_are_no_names_and_none_is_made(tmp_path: Path) -> None:
    assert completed("fswatch-builder inspect ", tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_commands(tmp_path: Path) -> None:
    assert completed("fswatch-builder ins", tmp_path) == ["inspect"]
