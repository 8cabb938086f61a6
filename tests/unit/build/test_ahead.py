"""Unpacking ahead of an import: what it takes for given, and what not."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder._native import remove_tree
from fswatch_builder.build import ahead
from fswatch_builder.build.ahead import Ahead
from fswatch_builder.build.meter import SILENT, Meter
from fswatch_builder.model.digest import DiffID
from fswatch_builder.oci import limits
from fswatch_builder.oci.limits import USUAL, UnpackLimits
from tests.support.images import tar_of

pytestmark = pytest.mark.root


class Bytes:
    """A source that has come."""

    def __init__(self, content: bytes, size: int) -> None:
        self.size = size
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, len(self._content), 1000):
            yield self._content[at : at + 1000]

    def all_came(self) -> None:
        pass

    def end(self) -> None:
        pass


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    made = tmp_path / "draft"
    made.mkdir()
    return made


def unpacked(draft: Path, tars: list[bytes], stated: list[bytes], bounds: UnpackLimits = USUAL, size: int = 0) -> bool:
    """Whether ``tars``, which somebody says have ``size`` bytes each, are believed to be those ``stated``."""
    begun = Ahead([Bytes(gzip.compress(tar), size or len(tar)) for tar in tars], str(draft), bounds)
    with Meter(SILENT, "", begun.size) as meter:
        found = begun.result([DiffID.of(tar) for tar in stated], meter)
    begun.close()
    return found is not None


def test_layers_are_believed_as_what_they_are_and_all_of_them(draft: Path, tmp_path: Path) -> None:
    one, two = tar_of({"a": b"1"}), tar_of({"b": b"2"})
    assert unpacked(draft, [one, two], [one, two])
    for number, (came, stated) in enumerate((([one, two], [two, one]), ([one], [one, two]), ([one, two], [one]))):
        other = tmp_path / str(number)
        other.mkdir()
        assert not unpacked(other, came, stated)
        assert not other.exists()  # it takes no room from those who unpack it again


def test_l18_a_bomb_is_bounded_by_what_has_come_and_not_by_what_somebody_says_will(
    draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def remove(path: bytes) -> None:
        sizes.append((draft / "rootfs/zeros").stat().st_size)
        remove_tree(path)

    monkeypatch.setattr(limits, "RATIO_FROM", 1 << 20)
    monkeypatch.setattr(ahead, "remove_tree", remove)
    bomb = tar_of({"zeros": bytes(64 << 20)})
    assert not unpacked(draft, [bomb], [bomb], size=1 << 40)
    # What pipes hold comes on top, and nothing that grows with the bomb.
    assert sizes[0] < 20 << 20
    assert not draft.exists()


def test_more_members_than_may_be_are_not_unpacked(draft: Path) -> None:
    many = tar_of({str(number): b"" for number in range(100)})
    assert not unpacked(draft, [many], [many], UnpackLimits(entries=10))
