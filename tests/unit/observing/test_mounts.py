from pathlib import Path

import pytest

from fswatch_builder.observing.mounts import Mount, mounts_below

TABLE = r"""
21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:5 / /proc rw - proc proc rw
23 21 0:6 / /srv rw shared:1 - ext4 /dev/sdb rw
24 23 0:7 / /srv/a\040b\134c rw - tmpfs none rw
25 23 0:8 / /srv/data rw - xfs /dev/sdc rw
26 25 0:9 / /srv/data/deep rw - tmpfs none rw
27 23 0:10 /hosts /srv/etc/hosts rw - ext4 /dev/sda1 rw
28 21 0:11 / /srvother rw - nfs4 host:/ rw
29 25 0:12 / /srv/data rw - fuse.sshfs host: rw
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "mountinfo").write_text(TABLE.strip() + "\n")
    return str(tmp_path / "mountinfo")


def test_the_topmost_mounts_below_are_told_and_what_the_directory_lies_on(table: str) -> None:
    assert mounts_below(b"/srv", table) == (
        Mount(b"", "ext4"),
        Mount(rb"a b\c", "tmpfs"),
        Mount(b"data", "fuse.sshfs"),  # mounted over the other one
        Mount(b"etc/hosts", "ext4"),
    )
    assert mounts_below(b"/srv/data/x", table) == (Mount(b"", "fuse.sshfs"),)


def test_the_root_directory_has_all_below_it(table: str) -> None:
    assert [mount.path for mount in mounts_below(b"/", table)] == [b"", b"proc", b"srv", b"srvother"]


def test_what_shows_the_state_of_the_kernel_holds_no_files(table: str) -> None:
    assert [mount.holds_files for mount in mounts_below(b"/", table)] == [True, False, True, True]
    assert not mounts_below(b"/proc/self", table)[0].holds_files


def test_the_table_of_this_host_is_understood() -> None:
    assert mounts_below(b"/proc/self")[0] == Mount(b"", "proc")
