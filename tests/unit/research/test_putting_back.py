"""What a command did to the copy is undone, whatever it did."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fswatch_builder.changes import oracle
from fswatch_builder.errors import BuildError
from fswatch_builder.research.bench.ground import Ground
from fswatch_builder.research.bench.judge import ScanJudge

pytestmark = pytest.mark.root

#: setfattr(1) is not everywhere.
ATTRIBUTE = """
attribute() { "$PYTHON" -c 'import os, sys
name, value, path = sys.argv[1:]
os.removexattr(path, name) if value == "-" else os.setxattr(path, name, value.encode())' "$@"; }
"""
SETUP = """
mkdir -p d/e empty; printf one > d/one; printf two > d/e/two; ln d/one d/e/link; ln d/one third; ln -s one d/symlink
mkfifo d/fifo; mknod d/device c 1 3; chown 7:8 d/e; chmod 4755 d/e/two; attribute user.x y d/e/two; touch -d @1 d/one d
mkdir sticky; chmod 1777 sticky; truncate -s 1M sparse
"""

UNDONE = {
    "content": "printf other > d/e/two",
    "content of a link": "printf more >> third",
    "mode and owner": "chmod 0600 d/e/two sticky; chown 1:1 d empty",
    "a set-user-ID bit that chown takes": "chown 9:9 d/e/two",
    "a time": "touch d/one d/e/two empty",
    "an attribute gone": "attribute user.x - d/e/two",
    "an attribute more": "attribute user.z z d/e/two; attribute user.d z empty",
    "a name gone": "rm d/e/link",
    "all names gone": "rm d/one d/e/link third",
    "a link parted": "cp third copy; mv copy third",
    "a link more": "ln d/e/two linked",
    "a directory gone": "rm -r d",
    "a directory moved": "mv d moved",
    "a file for a directory": "rm -r d; printf x > d",
    "a directory for a file": "rm d/e/two; mkdir d/e/two; printf x > d/e/two/x",
    "a symlink for a directory": "mv d elsewhere; ln -s elsewhere d",
    "another target": "ln -sfn two d/symlink",
    "special files gone": "rm d/fifo d/device",
    "special files made": "mkfifo new; mknod d/zero c 1 5",
    "files made": "mkdir -p new/deep; printf x > new/deep/x; printf x > d/e/x",
    "everything gone": "rm -rf ./*",
    "holes filled": "printf x | dd of=sparse bs=1 seek=5000 conv=notrunc status=none",
}


def shell(script: str, cwd: str | Path) -> None:
    subprocess.run(
        ["bash", "-euc", ATTRIBUTE + script], cwd=cwd, check=True, env={**os.environ, "PYTHON": sys.executable}
    )


@pytest.mark.parametrize("what", UNDONE)
def test_it_is_put_back(tmp_path: Path, what: str) -> None:
    pristine = tmp_path / "pristine"
    pristine.mkdir()
    shell(SETUP, pristine)
    home = tmp_path / "home"
    home.mkdir()
    ground = Ground(str(home), str(pristine))
    before = oracle.snapshot(os.fsencode(ground.tree))
    shell(UNDONE[what], ground.tree)
    truth = ScanJudge(ground).truth(ground.rootfs)
    assert truth
    ground.put_back(truth)
    assert oracle.compare(before, oracle.snapshot(os.fsencode(ground.tree))) == []
    assert ScanJudge(ground).truth(ground.rootfs) == {}


def test_what_was_not_put_back_is_told(tmp_path: Path) -> None:
    pristine, home = tmp_path / "pristine", tmp_path / "home"
    pristine.mkdir()
    home.mkdir()
    (pristine / "file").write_text("one")
    ground = Ground(str(home), str(pristine))
    # Somebody touches what nobody may touch.
    (pristine / "file").write_text("two")
    shell("printf x > file", ground.tree)
    with pytest.raises(BuildError, match="cannot be put back: file"):
        ground.put_back([b"file"])
