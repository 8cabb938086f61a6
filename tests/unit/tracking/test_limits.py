import os
from pathlib import Path

import pytest
from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from fswatch_builder.tracking import limits


def fake_proc(directory: Path, **values: int) -> str:
    for name, default in {
        "sys/fs/inotify/max_user_watches": 8000,
        "sys/fs/inotify/max_user_instances": 128,
        "sys/fs/inotify/max_queued_events": 16384,
        "sys/user/max_inotify_watches": 9000,
        "sys/user/max_inotify_instances": 64,
    }.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{values.get(path.name, default)}\n")
    return str(directory)


def test_the_lower_of_the_hosts_and_the_namespaces_limit_counts(tmp_path: Path) -> None:
    read = limits.read_limits(fake_proc(tmp_path))
    assert read == limits.InotifyLimits(watches=8000, instances=64, queued_events=16384)


def test_the_limits_of_this_host_can_be_read() -> None:
    assert limits.read_limits().queued_events > 0


def test_a_small_tree_has_room_to_grow_and_counts_nobodys_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "watches_in_use", lambda uid, but: pytest.fail("counted"))
    assert limits.watch_budget(1000, fake_proc(tmp_path)) == 4000


def test_stages_of_one_build_share_what_is_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "watches_in_use", lambda uid, but: 2500)
    assert limits.watch_budget(600, fake_proc(tmp_path), ours=400) == 4000 - 400
    assert limits.watch_budget(600, fake_proc(tmp_path), ours=401) == 8000 - 1000 - 401 - 2500


def test_a_part_of_the_limit_is_left_to_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "watches_in_use", lambda uid, but: 2500)
    assert limits.watch_budget(100_000, fake_proc(tmp_path)) == 8000 - 1000 - 2500


def test_a_limit_that_is_used_up_leaves_no_budget_and_not_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "watches_in_use", lambda uid, but: 7999)
    assert limits.watch_budget(100_000, fake_proc(tmp_path)) == 0


def test_watches_are_counted_one_by_one(tmp_path: Path) -> None:
    before = limits.watches_held(os.getpid())
    with INotify() as inotify:
        for name in ("a", "b", "c"):
            (tmp_path / name).mkdir()
            inotify.add_watch(tmp_path / name, flags.CREATE)
        assert limits.watches_held(os.getpid()) == before + 3
        assert limits.watches_in_use(os.geteuid()) >= 3
    assert limits.watches_held(os.getpid()) == before


def test_a_descriptor_whose_path_the_kernel_cannot_spell_is_no_instance(tmp_path: Path) -> None:
    before = limits.watches_held(os.getpid())
    deep = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(20):  # of 250 bytes each: more than PATH_MAX
            os.mkdir("d" * 250, dir_fd=deep)
            below = os.open("d" * 250, os.O_RDONLY, dir_fd=deep)
            os.close(deep)
            deep = below
        with pytest.raises(OSError, match="File name too long"):
            os.readlink(f"/proc/self/fd/{deep}")
        assert limits.watches_held(os.getpid()) == before
    finally:
        os.close(deep)


def test_a_process_that_ended_holds_none() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert limits.watches_held(child) == 0
