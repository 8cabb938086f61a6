from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder.build import unpacking
from fswatch_builder.build.ahead import Ahead
from fswatch_builder.oci.registry import client
from tests.support.arriving import UPPER, lower, packed
from tests.support.builds import Workshop
from tests.support.images import (
    MadeImage,
    make_image,
)
from tests.support.registry import FakeRegistry


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRegistry]:
    """Whoever asks it again does not wait before."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(client.RegistryClient, "_pause", lambda _self, _seconds: None)
    running = FakeRegistry()
    yield running
    running.close()


@pytest.fixture
def image(workshop: Workshop, tmp_path: Path) -> MadeImage:
    return make_image([lower(workshop, tmp_path), UPPER], pack=packed)


@pytest.fixture
def unpacked_again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The layers that are unpacked from the store, as if nothing had been done ahead."""
    real, layers = unpacking.unpack, []

    def unpack(*arguments: object) -> int:
        layers.append(arguments[0].diff_id.text)  # type: ignore[attr-defined]
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(unpacking, "unpack", unpack)
    return layers


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many layers each, that are unpacked ahead."""
    real, counts = Ahead.__init__, []

    def init(self: Ahead, *arguments: object) -> None:
        counts.append(len(arguments[0]))  # type: ignore[arg-type]
        real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Ahead, "__init__", init)
    return counts
