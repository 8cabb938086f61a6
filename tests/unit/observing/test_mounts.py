from pathlib import Path

import pytest

from fswatch_builder.observing.mounts import Mount, mounts_below, topmost

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


def test_the_mounts_below_are_told_and_what_the_directory_lies_on(table: str) -> None:
    assert mounts_below(b"/srv", table) == (
        Mount(b"", "ext4"),
        Mount(rb"a b\c", "tmpfs"),
        Mount(b"data", "fuse.sshfs"),  # mounted over the other one
        Mount(b"etc/hosts", "ext4"),
    )
    assert mounts_below(b"/srv/data/x", table) == (Mount(b"", "fuse.sshfs"),)


def test_the_root_directory_has_all_below_it(table: str) -> None:
    on, *below = mounts_below(b"/", table)
    assert on == Mount(b"", "ext4")
    inside = [rb"srv/a b\c", b"srv/data", b"srv/etc/hosts"]
    assert [mount.path for mount in below] == [b"proc", b"srv", *inside, b"srvother"]
    assert [mount.path for mount in topmost(below)] == [b"proc", b"srv", b"srvother"]


def test_what_shows_the_state_of_the_kernel_holds_no_files(table: str) -> None:
    assert [mount.path for mount in mounts_below(b"/", table) if not mount.holds_files] == [b"proc"]
    assert not mounts_below(b"/proc/self", table)[0].holds_files


def test_the_table_of_this_host_is_understood() -> None:
    assert mounts_below(b"/proc/self")[0] == Mount(b"", "proc")


HIDDEN = r"""
21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:5 / /srv/old/proc rw - proc proc rw
31 21 0:6 / /srv/old rw - tmpfs none rw
32 31 0:7 / /srv/old/new rw - xfs /dev/sdb rw
33 21 0:8 / /srv/old/new/late rw - tmpfs none rw
"""


def test_what_another_mount_hides_is_none(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(HIDDEN.strip() + "\n")
    assert mounts_below(b"/srv", str(table))[1:] == (Mount(b"old", "tmpfs"), Mount(b"old/new", "xfs"))
    assert mounts_below(b"/srv/old", str(table)) == (Mount(b"", "tmpfs"), Mount(b"new", "xfs"))
    assert mounts_below(b"/srv/old/new/late", str(table)) == (Mount(b"", "xfs"),)


def test_in_a_root_directory_that_is_no_mount_the_others_are_seen(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("22 21 0:5 / /proc rw - proc proc rw\n23 21 0:6 / /srv rw - ext4 /dev/sdb rw\n")
    assert [mount.path for mount in mounts_below(b"/", str(table))] == [b"", b"proc", b"srv"]
    assert mounts_below(b"/srv/d", str(table)) == (Mount(b"", "ext4"),)
