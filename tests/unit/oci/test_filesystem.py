"""Whether a store lies on this machine alone."""

from pathlib import Path

import pytest

from fswatch_builder.oci.filesystem import is_local

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
