"""A store that several machines use over NFS: what this machine remembers of a directory decides nothing."""

import builtins
import errno
import os
from pathlib import Path

import pytest

from fswatch_builder import _native
from fswatch_builder.errors import StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci import filesystem, state, workspace
from fswatch_builder.oci.blobs import write_error
from fswatch_builder.oci.keeping import sessions
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.keeping.turns import is_turn, turn
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.nfs_client import believe_empty
from tests.support.store_churn import verified
from tests.support.stores import elsewhere, listed, make_image, publish, using

KEY = Digest.of(b"key")


@pytest.fixture(autouse=True)
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (state, sessions, workspace):
        monkeypatch.setattr(module, "is_local", lambda _: False)


def test_a_store_that_another_machine_has_just_made_keeps_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(str(tmp_path)) as theirs:
        make_image(theirs, b"1", name="app:1")
    believe_empty(monkeypatch, str(tmp_path))
    with Store.open(str(tmp_path)) as ours:
        assert [str(image.name.familiar()) for image in listed(ours)] == ["app:1"]


def test_what_another_machine_has_just_stored_is_found_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(str(tmp_path)) as ours:
        with Store.open(str(tmp_path)) as theirs:
            manifest = make_image(theirs, b"1", name="app:1").digest
            publish(theirs, Kind.MOUNT, KEY)
        believe_empty(monkeypatch, str(tmp_path), str(tmp_path / "blobs/sha256"), str(tmp_path / "kept/mount"))
        assert ours.names.named(Reference.parse("app:1"))[0].digest == manifest
        assert ours.read(manifest)
        believe_empty(monkeypatch, str(tmp_path / "blobs/sha256"))
        assert ours.has(manifest)
        with ours.kept.use(Kind.MOUNT, KEY) as found:
            assert found.path is not None


def test_a_verification_takes_nothing_for_missing_that_has_just_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(str(tmp_path)) as ours:
        with Store.open(str(tmp_path)) as theirs:
            make_image(theirs, b"1", b"2", name="app:1")
        believe_empty(monkeypatch, str(tmp_path), str(tmp_path / "blobs/sha256"))
        assert verified(ours).is_clean


def test_a_session_that_has_just_begun_on_another_machine_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = str(tmp_path)
    with Store.open(directory) as ours, elsewhere(directory, using(Kind.MOUNT, KEY)):
        believe_empty(monkeypatch, directory, str(tmp_path / "sessions"))
        assert ours.session.leased("mount") == {KEY.text}


def test_silence_is_measured_by_the_servers_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(str(tmp_path)) as ours:
        ours.state.change("INSERT INTO sessions VALUES ('far', 'host', 'another boot', 1, 1)")
        ours.state.change("INSERT INTO leases VALUES ('far', 'blob', ?)", KEY.text)
        (tmp_path / "sessions").mkdir()
        (tmp_path / "sessions" / "far").touch()
        os.utime(tmp_path / "sessions" / "far", (10_000, 10_000))
        monkeypatch.setattr(sessions, "clock", lambda _: 10_060.0)
        assert ours.session.leased("blob") == {KEY.text}
        monkeypatch.setattr(sessions, "clock", lambda _: 20_000.0)
        assert ours.session.leased("blob") == frozenset()


def test_who_was_taken_for_dead_is_told_so(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as ours:
        ours.put(b"1")
        with Store.open(str(tmp_path)) as theirs:
            theirs.state.change("DELETE FROM leases")
            theirs.state.change("DELETE FROM sessions")
            (session,) = (tmp_path / "sessions").iterdir()
            session.unlink()
        with pytest.raises(StoreError, match="another one took it for dead"):
            ours.put(b"2")
        assert ours.state.rows("SELECT * FROM leases") == []


def test_who_lives_when_the_database_is_made_anew_is_known_again_at_the_next_lease(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as ours:
        ours.put(b"1")
        with Store.open(str(tmp_path)) as theirs:
            theirs.state.change("DELETE FROM sessions")
            assert theirs.session.others() == []
            second = ours.put(b"2")
            assert [running.pid for running in theirs.session.others()] == [os.getpid()]
            assert not theirs.kept.remove(Kind.BLOB, second)


def test_the_clock_is_the_file_systems_and_leaves_nothing(tmp_path: Path) -> None:
    before = filesystem.clock(str(tmp_path))
    assert before <= filesystem.clock(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_file_that_was_removed_while_open_is_nobodys(tmp_path: Path) -> None:
    """The client keeps it under such a name until it is closed: it is no session, no thing, no leftover."""
    with Store.open(str(tmp_path)) as ours:
        publish(ours, Kind.MOUNT, KEY)
        name = ".nfs000000000002000800000001"
        places = [tmp_path / place / name for place in ("sessions", "kept/mount", "blobs/sha256", "work")]
        for place in places:
            place.write_text("")
        with turn(str(places[0])):  # its lock is held as long as it is open
            assert is_turn(str(places[0]))
            assert not ours.session.strangers()
        places[0].touch()
        report = verified(ours)
        assert (report.is_clean, report.swept) == (True, [])
        assert all(place.exists() for place in places)
        assert [thing.key for thing in ours.kept.things(Kind.MOUNT)] == [KEY]


@pytest.mark.parametrize("number", [errno.ENOTEMPTY, errno.EBUSY])
def test_a_workspace_in_which_a_removed_file_is_open_goes_when_that_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with Store.open(str(tmp_path)) as ours:
        with monkeypatch.context() as opened:

            def refuse(path: bytes) -> None:
                raise OSError(number, os.strerror(number), path)

            opened.setattr(_native, "remove_tree", refuse)
            with ours.workspace() as left:
                pass
            Store.open(str(tmp_path)).close()
            assert os.path.isdir(left)
            opened.setattr(workspace, "is_local", lambda _: True)
            with pytest.raises(StoreError):  # on a local file system it means something else
                Store.open(str(tmp_path))
        Store.open(str(tmp_path)).close()
        assert os.listdir(tmp_path / "work") == [".lock"]


def test_a_mount_whose_locks_nobody_sees_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "kept_apart", lambda _: "nolock")
    with pytest.raises(StoreError, match="mounted with nolock") as refused:
        Store.open(str(tmp_path / "store"))
    assert "without that option" in (refused.value.hint or "")
    assert os.listdir(tmp_path) == []


def test_a_list_of_images_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(str(tmp_path)) as ours:
        make_image(ours, b"1", name="app:1")
        real, path, replaced = builtins.open, str(tmp_path / "index.json"), 3

        def opening(file: object, *arguments: object, **named: object) -> object:
            nonlocal replaced
            if file == path and replaced:
                replaced -= 1
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
            return real(file, *arguments, **named)  # type: ignore[call-overload]

        monkeypatch.setattr(builtins, "open", opening)
        assert len(ours.names.entries()) == 1
        assert replaced == 0
        replaced = 1_000_000  # the server has lost it for good
        with pytest.raises(StoreError, match="Stale file handle"):
            ours.names.entries()


def test_a_server_that_takes_root_for_nobody_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = os.stat_result((0o100600, 1, 1, 1, 65534, 65534, 0, 0, 0, 0))
    monkeypatch.setattr(filesystem, "_fresh", lambda _: nobody)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    Store.open(str(tmp_path)).close()  # on a local file system nobody is asked
    monkeypatch.setattr(filesystem, "is_local", lambda _: False)
    with pytest.raises(StoreError, match="root makes there belong to user 65534") as refused:
        Store.open(str(tmp_path))
    assert "no_root_squash" in (refused.value.hint or "")


def test_what_a_file_server_refuses_to_root_has_a_hint_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = OSError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "no_root_squash" not in (write_error(str(tmp_path), denied).hint or "")
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / {tmp_path} rw - nfs4 server:/x rw,local_lock=none\n")
    monkeypatch.setattr(filesystem, "_TABLE", str(table))
    assert "no_root_squash" in (write_error(str(tmp_path), denied).hint or "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "no_root_squash" not in (write_error(str(tmp_path), denied).hint or "")
