"""Extended attributes (xattr(7)): how many are listed, how large they are."""

import errno
import os
from pathlib import Path

import pytest

from tests.support.attributes import more_than_are_listed
from tests.support.filesystems import mounted

KEPT_BEYOND = [pytest.param(kind, marks=pytest.mark.root) for kind in ("tmpfs", "xfs", "btrfs")]


@pytest.mark.parametrize("place", KEPT_BEYOND, indirect=True)
def test_names_beyond_64_kib_are_kept_and_never_listed(place: Path) -> None:
    """XATTR_LIST_MAX. Values are read all the same, by who knows the names."""
    Path("f").write_text("x")
    names = more_than_are_listed("f")
    with pytest.raises(OSError, match=os.strerror(errno.E2BIG)):
        os.listxattr("f")
    assert os.getxattr("f", names[-1]) == b"x"
    os.removexattr("f", names[-1])
    assert len(os.listxattr("f")) == len(names) - 1


@pytest.mark.root
def test_ext4_keeps_a_value_of_64_kib_if_it_was_made_for_that(tmp_path: Path) -> None:
    """`ea_inode`: the value has an inode of its own, which no directory shows."""
    with mounted("ext4", tmp_path, mkfs=("-O", "ea_inode")) as place:
        (place / "f").write_text("x")
        os.setxattr(place / "f", "user.large", b"v" * 65_536)
        assert os.getxattr(place / "f", "user.large") == b"v" * 65_536
        assert os.stat(place / "f").st_nlink == 1
