"""How far the reading of some files is."""

import os
from pathlib import Path
from queue import SimpleQueue

import pytest

from fswatch_builder.build import meter as module
from fswatch_builder.build.meter import Meter


class Told:
    def __init__(self) -> None:
        self.progresses: SimpleQueue[tuple[str, int, int]] = SimpleQueue()

    def note(self, text: str) -> None:
        raise AssertionError(text)

    def step(self) -> int:
        return 7

    def progress(self, step: int, what: str, done: int, total: int) -> None:
        assert step == 7
        self.progresses.put((what, done, total))

    def until(self, done: int) -> None:
        """Waits until so much is told."""
        while self.progresses.get(timeout=60) != ("reading", done, 30):
            pass


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "one", tmp_path / "other"]
    for path, size in zip(paths, (10, 20), strict=True):
        path.write_bytes(bytes(size))
    return paths


def test_it_tells_where_the_reading_of_several_files_is(monkeypatch: pytest.MonkeyPatch, files: list[Path]) -> None:
    monkeypatch.setattr(module, "_FIRST_S", 0.001)
    monkeypatch.setattr(module, "_NEXT_S", 0.001)
    told = Told()
    with Meter(told, "reading", 30) as meter:
        with files[0].open("rb", buffering=0) as file, meter.reading(file.fileno(), 10):
            told.until(0)
            duplicate = os.dup(file.fileno())  # whoever reads has one of its own
            os.read(duplicate, 4)
            told.until(4)
            os.close(duplicate)
        told.until(10)
        with files[1].open("rb", buffering=0) as file, meter.reading(file.fileno(), 20):
            file.read(5)
            told.until(15)
    told.until(30)


def test_what_takes_no_second_is_not_told(files: list[Path]) -> None:
    told = Told()
    with (
        Meter(told, "reading", 10) as meter,
        files[0].open("rb", buffering=0) as file,
        meter.reading(file.fileno(), 10),
    ):
        file.read()
    assert told.progresses.empty()
