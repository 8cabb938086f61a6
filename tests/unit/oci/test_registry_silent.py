"""A registry that falls silent in the middle of an answer, and somebody who does not want to wait for it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder import stopping
from fswatch_builder.errors import RegistryError
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.registry import pull
from fswatch_builder.oci.store import Store
from tests.support.images import MadeImage, digest, make_image
from tests.support.registry import Answer, FakeRegistry

#: Seconds, less than after which a silent connection is given up. Nothing waits so long unless it fails.
_SOON = 20


class Silence:
    """A server's: from when it was reached to the end of the test."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.over = threading.Event()

    def __call__(self) -> bool:
        self.reached.set()
        self.over.wait()
        return False


@pytest.fixture
def silence() -> Iterator[Silence]:
    made = Silence()
    yield made
    made.over.set()


@pytest.fixture
def fake(silence: Silence) -> Iterator[FakeRegistry]:
    running = FakeRegistry()
    yield running
    silence.over.set()
    running.close()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def silent_in(fake: FakeRegistry, path: str, silence: Silence) -> None:
    body = fake.content[path].body
    fake.content[path] = Answer(body=body, headers=fake.content[path].headers, held=len(body) // 2, until=silence)


def blob(image: MadeImage, number: int) -> str:
    return f"/v2/app/blobs/{digest(image.layers[number])}"


@pytest.mark.parametrize("part", ["manifest", "blob"])
def test_whoever_is_told_to_stop_does_not_wait_for_it(
    fake: FakeRegistry, store: Store, silence: Silence, part: str
) -> None:
    image = make_image([{"a": b"1" * 1000}])
    fake.add("app", "1", image)
    silent_in(fake, "/v2/app/manifests/1" if part == "manifest" else blob(image, 0), silence)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            with stopping.under(stop):
                pull(store, Reference.parse(f"{fake.host}/app:1"), Platform("linux", "amd64"))
        except stopping.Stopped as error:
            ended.append(error)

    with stopping.Stop() as stop:
        thread = threading.Thread(target=work)
        thread.start()
        assert silence.reached.wait(_SOON)
        stop.set()
        thread.join(_SOON)
        assert not thread.is_alive()
    assert len(ended) == 1


def test_a_blob_that_fails_ends_another_that_is_silent(fake: FakeRegistry, store: Store, silence: Silence) -> None:
    image = make_image([{"a": b"1" * 1000}, {"b": b"2"}])
    fake.add("app", "1", image)
    silent_in(fake, blob(image, 0), silence)
    fake.content[blob(image, 1)] = Answer(404, held=0, until=lambda: silence.reached.wait(_SOON))
    ended: list[BaseException] = []

    def work() -> None:
        try:
            pull(store, Reference.parse(f"{fake.host}/app:1"), Platform("linux", "amd64"))
        except RegistryError as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(_SOON)
    assert not thread.is_alive()
    assert digest(image.layers[1]) in str(ended)
