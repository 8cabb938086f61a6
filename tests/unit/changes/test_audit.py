"""The audit's two questions, asked of a change set and of a baseline that are wrong in known ways."""

import os
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, ChangeSet, HintSet, Rootfs, remove_tree
from fswatch_builder.changes.audit import Evidence, check_baseline, check_changes
from fswatch_builder.changes.oracle import Snapshot, snapshot
from fswatch_builder.errors import AuditError


@pytest.fixture
def rootfs(tmp_path: Path) -> Rootfs:
    (tmp_path / "d/e").mkdir(parents=True)
    for name in ("d/one", "d/two", "d/e/three"):
        (tmp_path / name).write_text(name)
    os.link(tmp_path / "d/one", tmp_path / "d/e/one-again")
    return Rootfs(os.fsencode(tmp_path))


def state(rootfs: Rootfs) -> Snapshot:
    return snapshot(rootfs.path)


def looking_at(*places: bytes) -> HintSet:
    hints = HintSet()
    for place in places:
        hints.add(place, "entry")
    return hints


def found_at(rootfs: Rootfs, baseline: Baseline, *places: bytes) -> ChangeSet:
    return baseline.reconcile(rootfs, looking_at(*places))


def message(caught: pytest.ExceptionInfo[AuditError]) -> str:
    assert caught.value.exit_status == 11
    return caught.value.what


def test_a_change_nobody_looked_at_is_named_with_tracker_hints_and_losses(rootfs: Rootfs, tmp_path: Path) -> None:
    baseline, _ = Baseline.record(rootfs)
    before = state(rootfs)
    (tmp_path / "d/two").write_text("other")
    os.chmod(tmp_path / "d/e/three", 0o600)
    (tmp_path / "d/e/new").write_text("n")
    changes = found_at(rootfs, baseline, b"d/e/three")
    evidence = Evidence("blind", looking_at(b"d/e/three"), (("queue-overflow", b"d/e"),))
    with pytest.raises(AuditError) as caught:
        check_changes(before, state(rootfs), changes, evidence)
    lines = message(caught).split("\n")
    assert lines[0].startswith("the audit disagrees about 2 paths: ")
    assert "/d/two: expected modified (content, mtime), found nothing" in lines
    assert "/d/e/new: expected added, found nothing" in lines
    assert "    hints near it: /d/e/three (entry)" in lines
    assert lines[-2:] == ["tracker blind, 1 hint", "losses: queue-overflow /d/e"]


def test_a_change_that_is_none_is_named_too(rootfs: Rootfs, tmp_path: Path) -> None:
    baseline, _ = Baseline.record(rootfs)
    os.chmod(tmp_path / "d/two", 0o600)
    before = state(rootfs)
    changes = found_at(rootfs, baseline, b"d/two")
    with pytest.raises(AuditError, match=r"/d/two: expected nothing, found modified \(mode\)"):
        check_changes(before, state(rootfs), changes, Evidence("blind", looking_at(b"d/two"), ()))


def test_the_reason_counts_not_the_path_alone(rootfs: Rootfs, tmp_path: Path) -> None:
    baseline, _ = Baseline.record(rootfs, digests=False)  # so that a change of mode looks like one of content
    before = state(rootfs)
    os.chmod(tmp_path / "d/two", 0o600)
    changes = found_at(rootfs, baseline, b"d/two")
    with pytest.raises(AuditError, match=r"expected modified \(mode\), found modified \(content, mode\)"):
        check_changes(before, state(rootfs), changes, Evidence("blind", looking_at(b"d/two"), ()))


def test_what_a_copy_lists_is_expected_with_its_other_names_though_nothing_differs(rootfs: Rootfs) -> None:
    baseline, _ = Baseline.record(rootfs)
    before = state(rootfs)
    listed = [b"d", b"d/one"]
    changes = baseline.reconcile(rootfs, looking_at(*listed), listed)
    assert [change.path for change in changes.changes] == [b"d", b"d/e/one-again", b"d/one"]
    evidence = Evidence(None, looking_at(*listed), ())
    check_changes(before, state(rootfs), changes, evidence, listed)
    with pytest.raises(AuditError, match=r"/d/one: expected nothing, found modified \(listed\)"):
        check_changes(before, state(rootfs), changes, evidence)


def test_a_listed_part_of_a_group_that_fell_apart_is_not_the_one_left_out(rootfs: Rootfs, tmp_path: Path) -> None:
    baseline, _ = Baseline.record(rootfs)
    before = state(rootfs)
    one, again = tmp_path / "d/one", tmp_path / "d/e/one-again"
    status = one.stat()
    again.unlink()
    again.write_bytes(one.read_bytes())
    os.utime(again, ns=(status.st_atime_ns, status.st_mtime_ns))
    for listed in ([], [b"d/e/one-again"], [b"d/one"]):
        hints = looking_at(b"d/e/one-again", b"d/one", b"d/e")
        changes = baseline.reconcile(rootfs, hints, listed)
        check_changes(before, state(rootfs), changes, Evidence(None, hints, ()), listed)


def test_a_baseline_that_is_the_disk_passes_whatever_it_was_built_from(rootfs: Rootfs) -> None:
    for baseline in (Baseline.record(rootfs)[0], Baseline.record(rootfs, digests=False)[0]):
        check_baseline(baseline, state(rootfs))


def test_a_baseline_that_is_not_the_disk_says_where_and_how(rootfs: Rootfs, tmp_path: Path) -> None:
    baseline, _ = Baseline.record(rootfs)
    status = (tmp_path / "d/two").stat()
    (tmp_path / "d/two").write_text("d/twO")
    os.utime(tmp_path / "d/two", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.chmod(tmp_path / "d/e/three", 0o600)
    (tmp_path / "d/e/new").write_text("n")
    (tmp_path / "d/e/one-again").unlink()
    with pytest.raises(AuditError) as caught:
        check_baseline(baseline, state(rootfs))
    what = message(caught)
    assert "/d/two: expected content sha256:" in what
    assert "/d/e/three: expected mode 0600, found mode 0644" in what
    assert "/d/e/new: expected file, found nothing" in what
    assert "/d/e/one-again: expected nothing, found file" in what
    assert "/d/one" in what


def test_names_that_no_longer_share_an_inode_are_a_difference(rootfs: Rootfs, tmp_path: Path) -> None:
    baseline, _ = Baseline.record(rootfs)
    os.unlink(tmp_path / "d/two")
    os.link(tmp_path / "d/one", tmp_path / "d/two")
    with pytest.raises(AuditError, match=r"/d/two: expected .*a link to /d/e/one-again, found .*a link to /d/two"):
        check_baseline(baseline, state(rootfs))


def test_a_report_stays_readable_however_much_differs(rootfs: Rootfs, tmp_path: Path) -> None:
    baseline, _ = Baseline.record(rootfs)
    for number in range(100):
        (tmp_path / f"d/{number}").write_text("n")
    with pytest.raises(AuditError) as caught:
        check_baseline(baseline, state(rootfs))
    assert "and 81 more" in message(caught)  # the directory's time too
    assert len(message(caught).split("\n")) == 22


def test_a_tree_deeper_than_a_path_may_be_is_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2,000 levels: beyond PATH_MAX, and beyond what one may nest calls or hold descriptors by default."""
    top = tmp_path / "top"
    top.mkdir()
    try:
        monkeypatch.chdir(top)
        for _ in range(2000):
            os.mkdir("level")
            os.chdir("level")
        Path("f").write_text("before")
        rootfs = Rootfs(os.fsencode(top))
        baseline, _ = Baseline.record(rootfs)
        before = state(rootfs)
        check_baseline(baseline, before)
        Path("f").write_text("after")
        changes = found_at(rootfs, baseline, b"level/" * 2000 + b"f")
        check_changes(before, state(rootfs), changes, Evidence("blind", HintSet(), ()))
        assert [change.path for change in changes.changes] == [b"level/" * 2000 + b"f"]
    finally:
        monkeypatch.undo()
        remove_tree(os.fsencode(top))
