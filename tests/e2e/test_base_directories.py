"""A directory that is a base: read in once, and again what may have been written to since; others may work in it."""

import mmap
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fswatch_builder.oci.keeping import kept
from tests.support.builds import Result, Workshop
from tests.support.filesystems import device, mounted, placed, rewrite
from tests.support.rare_calls import exchange_contents

pytestmark = pytest.mark.root

SIZE = 4096


def held(result: Result, name: str) -> str:
    """The first letter of a file of the base."""
    return result.text(result.built.image.layers[0], name)[0]


def with_two_files(workshop: Workshop, point: Path) -> Workshop:
    shop = replace(workshop, base=point / "base")
    shop.base.mkdir()
    for name in ("a", "b"):
        (shop.base / name).write_text(name * SIZE)
    return shop


def test_a_store_into_a_page_that_is_dirty_already_is_seen(workshop: Workshop, tmp_path: Path) -> None:
    """It makes no fault, and moves no time."""
    with mounted("ext4", tmp_path) as point:
        shop = replace(workshop, base=point / "base")
        shop.base.mkdir()
        (shop.base / "f").write_bytes(b"0" * SIZE)
        os.link(shop.base / "f", shop.base / "g")
        with open(shop.base / "f", "r+b") as file, mmap.mmap(file.fileno(), SIZE) as mapped:
            # Should the page be written back just then, for somebody else syncs, the store would be seen by its time.
            for number in range(1, 9, 2):
                mapped[0] = ord(str(number))
                assert held(shop.build("FROM base\n"), "f") == str(number)
                stat = os.stat(shop.base / "f")
                mapped[0] = ord(str(number + 1))
                unseen = os.stat(shop.base / "f").st_ctime_ns == stat.st_ctime_ns
                assert held(shop.build("FROM base\n"), "f") == str(number + 1)
                if unseen:
                    break
            assert unseen


def test_after_the_machine_was_started_again_all_is_read(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may have taken what had its stamp already: here, a call that leaves none exchanges two files."""
    with mounted("xfs", tmp_path) as point:
        shop = with_two_files(workshop, point)
        assert held(shop.build("FROM base\n"), "a") == "a"
        exchange_contents(shop.base / "a", shop.base / "b")
        assert held(shop.build("FROM base\n"), "a") == "a"
        monkeypatch.setattr(kept, "boot_id", lambda: "another boot")
        assert held(shop.build("FROM base\n"), "a") == "b"


def test_what_was_read_after_a_boot_is_believed_from_then_on(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted("xfs", tmp_path) as point:
        shop = with_two_files(workshop, point)
        shop.build("FROM base\n")
        monkeypatch.setattr(kept, "boot_id", lambda: "another boot")
        shop.build("FROM base\n")
        exchange_contents(shop.base / "a", shop.base / "b")
        assert held(shop.build("FROM base\n"), "a") == "a"


def test_what_is_mounted_next_on_the_device_is_read(workshop: Workshop, tmp_path: Path) -> None:
    """Another image, or a snapshot that somebody went back to: every stat is as it was."""
    with device("ext4", tmp_path) as disk:
        with placed(disk, tmp_path / "point") as point:
            shop = replace(workshop, base=point / "base")
            shop.base.mkdir()
            (shop.base / "f").write_text("a" * SIZE)
            assert held(shop.build("FROM base\n"), "f") == "a"
        rewrite(disk, b"a" * SIZE, b"b" * SIZE)
        with placed(disk, tmp_path / "point"):
            assert held(shop.build("FROM base\n"), "f") == "b"


def test_what_was_read_after_a_mount_is_believed_from_then_on(workshop: Workshop, tmp_path: Path) -> None:
    with device("xfs", tmp_path) as disk:
        with placed(disk, tmp_path / "point") as point:
            shop = with_two_files(workshop, point)
            shop.build("FROM base\n")
        with placed(disk, tmp_path / "point"):
            shop.build("FROM base\n")
            exchange_contents(shop.base / "a", shop.base / "b")
            assert held(shop.build("FROM base\n"), "a") == "a"
