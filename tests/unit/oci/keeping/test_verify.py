"""verify: damage of every kind is found, told, and gone with what needs it; leftovers too, and nothing else."""

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.keeping import kept
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.keeping.verify import Progress, Report, verify
from fswatch_builder.oci.store import Store
from tests.support.store_churn import verified
from tests.support.stores import NOON, elsewhere, listed, make_image, make_layer, publish, using

KEY = Digest.of(b"key")


@pytest.fixture
def place(tmp_path: Path) -> str:
    place = str(tmp_path / "store")
    with Store.open(place) as store:
        make_image(store, b"shared", b"one", name="app:1")
        make_image(store, b"shared", b"two", name="app:2")
        store.memory.record_step(Digest.of(b"step"), make_layer(store, b"one"), NOON)
        publish(store, Kind.TREE, KEY)
    return place


def run(place: str) -> Report:
    with Store.open(place) as store:
        return verified(store)


def names(place: str) -> list[str]:
    with Store.open(place) as store:
        return [image.name.familiar() for image in listed(store)]


def blob(place: str, content: bytes) -> Path:
    return Path(place, "blobs", "sha256", Digest.of(content).hex)


def snapshot(place: str) -> set[str]:
    return {str(path) for path in Path(place).rglob("*") if not path.name.startswith("state.db")}


def test_a_whole_store_is_left_as_it_is(place: str) -> None:
    before = snapshot(place)
    report = run(place)
    assert report.is_clean
    assert (report.blobs, report.swept) == (7, [])
    assert report.size == sum(path.stat().st_size for path in Path(place, "blobs/sha256").iterdir())
    assert snapshot(place) == before


@pytest.mark.parametrize("content", [b"oNe", b"", b"one and more"])
def test_a_damaged_layer_goes_with_its_image_and_its_step(place: str, content: bytes) -> None:
    blob(place, b"one").write_bytes(content)
    report = run(place)
    (damage,) = report.damage
    assert str(Digest.of(b"one")) in damage
    assert str(Digest.of(content)) in damage
    assert report.lost == [f"image app:1 is removed: blob {Digest.of(b'one')} is missing"]
    assert names(place) == ["app:2"]
    with Store.open(place) as store:
        assert store.memory.step(Digest.of(b"step")) is None
    assert run(place).is_clean


def test_a_missing_blob_and_a_damaged_manifest_cost_their_images(place: str) -> None:
    blob(place, b"two").unlink()
    with Store.open(place) as store:
        first = listed(store)[0].digest
    Path(place, "blobs/sha256", first.hex).write_bytes(b"{}")
    report = run(place)
    assert len(report.damage) == 1
    assert [line.split(" is removed")[0] for line in report.lost] == ["image app:1", "image app:2"]
    assert names(place) == []
    assert run(place).is_clean


def test_what_a_running_build_uses_stays_and_is_told(place: str) -> None:
    blob(place, b"one").write_bytes(b"damaged")
    with elsewhere(place, lambda store: store.has(Digest.of(b"one"))):
        report = run(place)
        assert (len(report.left), report.damage, report.is_clean) == (1, [], False)
        assert blob(place, b"one").exists()
    assert len(run(place).damage) == 1


@pytest.mark.root
def test_a_blob_that_cannot_be_read_is_damaged(place: str) -> None:
    path = blob(place, b"one")
    path.unlink()
    path.mkdir()
    report = run(place)
    assert "cannot be read" in report.damage[0]
    assert run(place).is_clean


def test_a_damaged_list_of_images_is_made_anew(place: str) -> None:
    Path(place, "index.json").write_bytes(b"{")
    report = run(place)
    assert "the list of images is damaged" in report.damage[0]
    assert Path(place, "index.json.damaged").read_bytes() == b"{"
    assert names(place) == []
    assert run(place).is_clean


def test_a_database_that_is_damaged_inside_is_made_anew(place: str) -> None:
    """Its head is whole, so it can be opened."""
    with Store.open(place) as store:
        for number in range(500):
            store.memory.note("kind", str(number).encode(), b"x" * 200)
    path = Path(place, "state.db")
    content = bytearray(path.read_bytes())
    assert len(content) > 20 * 4096
    content[3 * 4096 :] = b"\xff" * len(content[3 * 4096 :])
    path.write_bytes(content)
    report = run(place)
    assert "the database of the store was damaged" in report.damage[0]
    assert names(place) == ["app:1", "app:2"]
    assert run(place).is_clean
    with Store.open(place) as store:
        assert store.memory.layer(make_layer(store, b"two").diff_id) is not None, "learned again from the images"


def test_leftovers_go(place: str) -> None:
    home = Path(place, "kept", "tree")
    (home / "gone-").mkdir()
    (home / f"{KEY.hex}.lock").touch()
    Path(place, "blobs", "sha256", ".tmp-123").write_bytes(b"x")
    stray = Path(place, "work", "no-lock")
    (stray / "deep").mkdir(parents=True)
    Path(place, "baselines").mkdir()  # of a store of the first version
    report = run(place)
    assert report.is_clean
    assert len(report.swept) == 5
    assert not stray.exists()
    assert os.listdir(home) == [KEY.hex]
    assert run(place).swept == []


def test_a_lock_that_somebody_holds_stays(place: str) -> None:
    def hold(store: Store) -> object:
        turn = store.kept.turn(Kind.TREE, KEY)
        turn.__enter__()
        return turn

    with elsewhere(place, hold):
        assert run(place).swept == []


def test_sessions_of_the_dead_go(place: str) -> None:
    Path(place, "sessions", "left-over").touch()
    with Store.open(place) as store:
        store.state.change("INSERT INTO sessions VALUES ('dead', 'host', '', 1, 1)")
    run(place)
    assert os.listdir(Path(place, "sessions")) == []


def test_rows_of_blobs_that_are_gone_are_told(place: str) -> None:
    with Store.open(place) as store:
        store.memory.record_step(Digest.of(b"another step"), make_layer(store, b"no image needs it"), NOON)
    blob(place, b"no image needs it").unlink()
    report = run(place)
    assert report.swept == ["1 results of steps whose layer is gone"]
    database = sqlite3.connect(Path(place, "state.db"))
    assert database.execute("SELECT count(*) FROM layers").fetchone() == (1,)
    database.close()


def test_a_tree_that_a_power_cut_may_have_cut_into_goes(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Path(place, "kept", "tree", KEY.hex)
    monkeypatch.setattr(kept, "boot_id", lambda: "another boot")
    with elsewhere(place, using(Kind.TREE, KEY)):
        assert run(place).swept == []
        assert tree.exists(), "a build uses it, and has to know"
    report = run(place)
    assert report.is_clean
    assert report.swept == [f"{tree}, unpacked before this boot"]
    assert not tree.exists()


def test_kinds_that_can_be_looked_into_are(place: str) -> None:
    with Store.open(place) as store:
        run = verify(store, {Kind.TREE: lambda path: f"{path} differs from its record"})
        report: Report
        steps: list[Progress] = []
        while True:
            try:
                steps.append(next(run))
            except StopIteration as end:
                report = end.value
                break
        assert report.damage == [f"{store.kept.path(Kind.TREE, KEY)} differs from its record"]
        assert store.kept.things(Kind.TREE) == []
    assert steps[-1].done == steps[-1].total == report.size


@pytest.mark.root
def test_what_the_dead_have_mounted_is_unmounted(place: str) -> None:
    stray = Path(place, "work", "no-lock")
    stray.mkdir()
    precious = Path(place).parent / "precious"
    precious.mkdir()
    (precious / "file").write_text("of the host")
    subprocess.run(["mount", "--bind", precious, stray], check=True)
    run(place)
    assert not stray.exists()
    assert (precious / "file").read_text() == "of the host"
    dead = Path(place, "work", "dead")
    dead.mkdir()
    Path(place, "work", "dead.lock").touch()
    subprocess.run(["mount", "--bind", precious, dead], check=True)
    Store.open(place).close()
    assert not dead.exists()
    assert (precious / "file").read_text() == "of the host"
