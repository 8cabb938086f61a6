"""Workspaces, in which root file systems are unpacked."""

import os
import stat
import struct
from pathlib import Path

from fswatch_builder.oci.workspace import workspace

_ANYBODY = 0xFFFFFFFF
#: default:user::rwx default:user:12:rwx default:group::r-x default:mask::rwx default:other::r-x
_FOR_ALL_TO_COME = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *each)
    for each in ((1, 7, _ANYBODY), (2, 7, 12), (4, 5, _ANYBODY), (0x10, 7, _ANYBODY), (0x20, 5, _ANYBODY))
)


def test_what_the_store_lies_in_passes_neither_group_nor_acl_on(tmp_path: Path) -> None:
    """Else every file of an image would have them: of the host of who built it."""
    os.setxattr(tmp_path, "system.posix_acl_default", _FOR_ALL_TO_COME)
    tmp_path.chmod(0o2755)
    with workspace(str(tmp_path)) as directory:
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        made = os.path.join(directory, "rootfs")
        os.mkdir(made)
        assert os.listxattr(made) == []
        assert not os.stat(made).st_mode & stat.S_ISGID
        assert os.stat(made).st_gid == os.getegid()
