"""Directories that take ``A`` for ``a`` (hazard M15): an event has a name as it was spelled, not as it is kept."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from tests.support.tracked import armed, assert_nothing_missed

pytestmark = pytest.mark.root

SCRIPTS = {
    "write": "echo more >>d/foo",
    "write in a directory": "echo more >>d/sub/FILE",
    "mode": "chmod 600 D/BAR || chmod 600 d/BAR",
    "remove": "rm d/foo",
    "remove a directory": "rm -r d/sub",
    "remove and make": "rm d/foo; echo 1 >d/FOO",
    "move": "mv d/foo d/other",
    "move onto": "mv d/foo d/bar",
    "move in case only": "mv d/Foo d/x; mv d/x d/FOO",
    "move a directory and write": "mv d/sub d/Other; echo x >d/other/NEW",
    "link": "ln d/foo d/Linked; echo more >>d/LINKED",
    "make": "mkdir d/New; echo x >d/new/File; echo y >>d/NEW/file",
    "nothing": "cat d/foo >/dev/null",
}


@pytest.fixture
def folding(tmp_path: Path) -> Iterator[Path]:
    """On an ext4 that was made for it."""
    image, point = tmp_path / "image", tmp_path / "mounted"
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8", image], check=True)
    done = subprocess.run(["mount", "-o", "loop", image, point], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("this kernel mounts no ext4 that folds case")
    try:
        tree = point / "tree"
        (tree / "d").mkdir(parents=True)
        subprocess.run(["chattr", "+F", tree / "d"], check=True)
        (tree / "d/Sub").mkdir()
        for name in ("d/Foo", "d/Bar", "d/Sub/File"):
            (tree / name).write_text("content\n")
        yield tree
    finally:
        subprocess.run(["umount", point], check=True)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_name_in_another_case_leads_to_what_is_recorded(name: str, folding: Path) -> None:
    with armed(native.Rootfs(os.fsencode(folding))) as together:
        subprocess.run(["sh", "-ec", SCRIPTS[name]], cwd=folding, check=True)
        assert (assert_nothing_missed(together) == []) == (name == "nothing")
