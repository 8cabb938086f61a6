"""A mount over a watched directory raises none of its events (see mounted_over in the table): who notices it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from tests.support.fanotify import Event, Fanotify
from tests.support.system_calls import mount_tmpfs, own_mounts, unmount

pytestmark = pytest.mark.root


@contextmanager
def witness() -> Iterator[Fanotify]:
    try:
        group = Fanotify.of_mounts()
    except OSError as error:
        if error.errno == errno.EINVAL:
            pytest.skip("the kernel does not report mounts: older than 6.14")
        raise
    with group:
        yield group


def mount_points_below(path: Path) -> list[bytes]:
    with open("/proc/self/mountinfo", "rb") as table:
        points = [line.split()[4] for line in table]
    return [point for point in points if point.startswith(os.fsencode(path))]


def test_the_table_of_mounts_tells(tmp_path: Path) -> None:
    assert mount_points_below(tmp_path) == []
    mount_tmpfs(str(tmp_path))
    try:
        assert mount_points_below(tmp_path) == [os.fsencode(tmp_path)]
    finally:
        unmount(str(tmp_path))


def test_a_group_for_mounts_is_told(tmp_path: Path) -> None:
    with witness() as group:
        mount_tmpfs(str(tmp_path))
        attached = {record.mask for record in group.read()}
        unmount(str(tmp_path))
        assert Event.MNT_ATTACH in attached
        assert Event.MNT_DETACH in {record.mask for record in group.read()}


def test_what_is_mounted_in_another_namespace_concerns_nobody_here(tmp_path: Path) -> None:
    """What a RUN can do that has no CAP_SYS_ADMIN: mount in a user namespace of its own."""
    (tmp_path / "f").write_text("as it was")
    with INotify(nonblocking=True) as inotify:
        inotify.add_watch(tmp_path, flags.CREATE | flags.MODIFY)
        ready, tell = os.pipe()
        done, go_on = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(go_on)
                own_mounts()
                mount_tmpfs(str(tmp_path))
                (tmp_path / "f").write_text("elsewhere")
                os.write(tell, b"x")
                os.read(done, 1)
                status = 0
            finally:
                os._exit(status)
        os.close(tell)
        mounted = os.read(ready, 1) == b"x"
        points, content = mount_points_below(tmp_path), (tmp_path / "f").read_text()
        os.close(go_on)
        _, status = os.waitpid(child, 0)
        os.close(ready)
        os.close(done)
        if not mounted:
            pytest.skip("no user namespace can be made here")
        assert status == 0
        assert points == []
        assert content == "as it was"
        assert inotify.read(timeout=0) == []
