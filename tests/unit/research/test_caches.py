"""Cold for what is said to be cold."""

import subprocess
from pathlib import Path

import pytest

from fswatch_builder.errors import UsageError
from fswatch_builder.research.bench import caches
from fswatch_builder.research.machine import file_system


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(b"x" * (1 << 20))
    (tmp_path / "link").symlink_to("below/file")
    (tmp_path / "gone").symlink_to("nowhere")
    return tmp_path


def pages(path: Path) -> int:
    command = ["fincore", "--noheadings", "--output", "PAGES", str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_the_kernel_forgets_what_is_in_files_that_were_only_just_written(tree: Path) -> None:
    file = tree / "below" / "file"
    if file_system(str(tree)) == "tmpfs":
        with pytest.raises(UsageError, match="ever cold"):
            caches.check(caches.COLD_FILES, str(tree))
        return
    file.read_bytes()
    assert pages(file) > 0
    caches.STATES[caches.COLD_FILES](str(tree))
    assert pages(file) == 0
    caches.check(caches.COLD_FILES, str(tree))


def test_warm_is_left_as_it_is(tree: Path) -> None:
    file = tree / "below" / "file"
    file.read_bytes()
    before = pages(file)
    caches.STATES[caches.WARM](str(tree))
    assert pages(file) == before
