"""``prune`` and ``rmi`` as a user types them."""

import os
import subprocess
from pathlib import Path

import pytest

from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store
from tests.support.cli import fswatch_builder
from tests.support.stores import elsewhere, listed, make_image, publish


@pytest.fixture
def place(tmp_path: Path) -> str:
    place = str(tmp_path / "store")
    with Store.open(place) as store:
        make_image(store, b"1", name="app:1")
        make_image(store, b"2", name="app:2")
        make_image(store, b"2", name="example.com/team/app:2")
        make_image(store, b"x" * 100_000)
        publish(store, Kind.MOUNT, Digest.of(b"key"), label="/root/.cache")
    return place


def blobs(place: str) -> int:
    return len(os.listdir(os.path.join(place, "blobs", "sha256")))


def names(place: str) -> list[str]:
    with Store.open(place) as store:
        return [image.name.familiar() for image in listed(store)]


def run(place: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return fswatch_builder(*arguments, f"--store={place}", check=False, stdin=stdin, env={"TZ": "UTC"})


def test_prune_asks_and_does_nothing_without_a_yes(place: str) -> None:
    before = blobs(place)
    for answer in ("\n", "n\n", "what?\n"):
        done = run(place, "prune", stdin=answer)
        assert (done.returncode, done.stdout) == (0, "")
        assert "all blobs that no image needs" in done.stderr
        assert "[y/N]" in done.stderr
    done = run(place, "prune")
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert blobs(place) == before


def test_prune_says_what_is_left_out_of_it(place: str) -> None:
    done = run(place, "prune", "-a", "--filter", "until=2026-01-02", "--keep-storage", "2GB", stdin="n\n")
    assert "  - all images\n" in done.stderr
    assert "Of that, only what was last used before 2026-01-02 00:00:00 UTC.\n" in done.stderr
    assert "Of that, the 2.15GB that were used last stay.\n" in done.stderr
    assert "What a running build uses stays." in done.stderr


def test_prune_says_what_it_removed_and_how_much_that_was(place: str) -> None:
    done = run(place, "prune", stdin="y\n")
    assert done.returncode == 0
    assert "removed mount /root/.cache" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Total reclaimed space: 1")
    assert names(place) == ["app:1", "app:2", "example.com/team/app:2"]
    done = run(place, "prune", "-f")
    assert done.stdout == "Total reclaimed space: 0B\n"
    done = run(place, "prune", "-af")
    assert "removed image app:1  " in done.stdout
    assert "removed image app:2, example.com/team/app:2  " in done.stdout
    assert blobs(place) == 0


def test_prune_says_what_stays_because_it_is_in_use(place: str) -> None:
    with Store.open(place) as store:
        digest = listed(store)[0].digest
    with elsewhere(place, lambda store: store.load_image(digest)):
        done = run(place, "prune", "-a", "-f")
    assert "in use  image app:1" in done.stdout
    assert names(place) == ["app:1"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--filter", "label=x"], "only until=TIME is known"),
        (["--filter", "until"], "only until=TIME is known"),
        (["--filter", "until=yesterday"], "neither an age nor a time"),
        (["--keep-storage", "lots"], "not an amount of bytes"),
        (["--verify", "-a"], "--verify stands alone"),
    ],
)
def test_prune_refuses_what_it_does_not_understand(place: str, options: list[str], said: str) -> None:
    done = run(place, "prune", "-f", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert "hint: " in done.stderr


def test_prune_keeps_what_is_new_or_fits(place: str) -> None:
    before = blobs(place)
    run(place, "prune", "-af", "--filter", "until=1h")
    run(place, "prune", "-af", "--keep-storage", "1GB")
    assert blobs(place) == before


def test_verify_tells_and_mends(place: str) -> None:
    done = run(place, "prune", "--verify")
    assert done.returncode == 0
    assert done.stdout.startswith("9 blobs, 10")
    assert done.stdout.endswith("kB: all whole\n")
    Path(place, "blobs", "sha256", Digest.of(b"1").hex).write_bytes(b"other")
    done = run(place, "prune", "--verify")
    assert done.returncode == 10
    assert f"WARN: blob {Digest.of(b'1')} is damaged" in done.stderr
    assert "WARN: image app:1 is removed" in done.stderr
    assert run(place, "prune", "--verify").returncode == 0


def test_a_database_made_anew_is_told_once(place: str) -> None:
    Path(place, "state.db").write_bytes(b"no database")
    done = run(place, "images")
    assert "WARN: the database of the store was damaged" in done.stderr
    assert "app" in done.stdout
    assert "WARN" not in run(place, "images").stderr


def test_rmi_takes_names_and_then_the_image(place: str) -> None:
    done = run(place, "rmi", "app:2")
    assert done.stdout == "Untagged: app:2\n"
    done = run(place, "rmi", "example.com/team/app:2", "app:1")
    assert done.stdout.count("Untagged: ") == 2
    assert done.stdout.count("Deleted: sha256:") == 6
    assert names(place) == []


def test_rmi_by_id(place: str) -> None:
    with Store.open(place) as store:
        first, second = (listed(store)[index].digest for index in (0, 1))
    done = run(place, "rmi", second.hex[:12])
    assert done.returncode == 5
    assert "several repositories" in done.stderr
    done = run(place, "rmi", "--force", second.hex[:12])
    assert done.stdout.count("Untagged: ") == 2
    done = run(place, "rmi", str(first))
    assert "Untagged: app:1" in done.stdout
    assert names(place) == []


def test_rmi_goes_on_after_an_unknown_image(place: str) -> None:
    done = run(place, "rmi", "nothing:1", "app:1", "nothing:2")
    assert done.returncode == 5
    assert "Untagged: app:1" in done.stdout
    assert "there is no image nothing:1" in done.stderr
    assert "there is no image nothing:2" in done.stderr
    done = run(place, "rmi", "-f", "nothing:1")
    assert done.returncode == 0
    assert "there is no image nothing:1" in done.stderr
