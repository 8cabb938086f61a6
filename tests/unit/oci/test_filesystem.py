"""Whether a store lies on this machine alone."""

from pathlib import Path

import pytest

from fswatch_builder.oci.filesystem import is_local, kept_apart

TABLE = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:30 / /srv/shared rw - nfs4 server:/export rw
24 22 0:31 / /srv/sha rw - tmpfs tmpfs rw
25 23 0:32 / /srv/shared/fast rw - xfs /dev/sdb1 rw
26 22 0:33 / /srv/with\\040blank rw - fuse.sshfs there: rw
27 22 0:34 / /srv/twice rw - nfs server:/ rw
28 27 0:35 / /srv/twice rw - ext4 /dev/sdc1 rw
29 22 0:36 / /srv/new rw - newfs none rw
"""


@pytest.mark.parametrize(
    ("directory", "local"),
    [
        ("/var/lib/store", True),
        ("/srv/shared", False),
        ("/srv/shared/store", False),
        ("/srv/shared/fast/store", True),
        ("/srv/sharedx", True),
        ("/srv/sha/store", True),
        ("/srv/with blank/store", False),
        ("/srv/twice/store", True),
        ("/srv/new/store", False),
    ],
)
def test_the_mount_a_directory_is_on_decides(tmp_path: Path, directory: str, local: bool) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert is_local(directory, str(table)) is local


def test_without_proc_nothing_is_believed(tmp_path: Path) -> None:
    assert not is_local("/", str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("nfs4", "rw,vers=4.2,hard,local_lock=none,addr=10.0.0.1", None),
        ("nfs", "rw,vers=3,hard,mountproto=tcp,local_lock=none,addr=10.0.0.1", None),
        ("nfs", "rw,vers=3,hard,nolock,proto=tcp,local_lock=all,addr=10.0.0.1", "nolock"),
        ("nfs", "rw,vers=3,hard,local_lock=flock,addr=10.0.0.1", "local_lock=flock"),
        ("nfs4", "rw,vers=4.2,nocto,local_lock=none", "nocto"),
        ("ext4", "rw,nolock", None),
    ],
)
def test_a_mount_whose_locks_others_do_not_see_is_known(
    tmp_path: Path, kind: str, options: str, told: str | None
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:30 / /srv/shared rw - {kind} server:/ {options}\n")
    assert kept_apart("/srv/shared/store", str(table)) == told
    assert kept_apart("/srv", str(table)) is None
