"""Builds in this process, and looks at what came out with Python's own tarfile."""

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, Unpack

from msgspec.structs import replace

from fswatch_builder.build.builder import build
from fswatch_builder.build.events import Event, StepFinished, StepMissed, StepOutput, StepStarted
from fswatch_builder.build.mounting import Lent
from fswatch_builder.build.product import BuiltImage, Product
from fswatch_builder.build.request import Request
from fswatch_builder.model.hash_mode import HashMode
from fswatch_builder.model.image import Layer
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.sandbox import SandboxOptions
from fswatch_builder.oci.limits import USUAL, UnpackLimits
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store


@dataclass
class Recorder:
    """A stream of events that remembers."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def statuses(self) -> list[str]:
        """How the steps ended, configuration and FROM left out."""
        starts = {event.number: event for event in self.events if isinstance(event, StepStarted)}
        return [
            event.status
            for event in self.events
            if isinstance(event, StepFinished) and event.status != "config" and starts[event.number].position > 1
        ]

    def missed(self) -> list[tuple[str, ...]]:
        """Why, of each step that was not in the cache."""
        return [event.reasons for event in self.events if isinstance(event, StepMissed)]

    def printed(self) -> str:
        return b"".join(event.data for event in self.events if isinstance(event, StepOutput)).decode()


@dataclass(frozen=True)
class Result:
    product: Product
    store: str
    recorder: Recorder
    inherited: int  # layers of the base

    @property
    def built(self) -> BuiltImage:
        """The only image."""
        (image,) = self.product.images
        return image

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The new ones."""
        return self.built.image.layers[self.inherited :]

    def names(self) -> list[list[str]]:
        """The members of each new layer, in order."""
        return [[member.name for member in self.members(layer)] for layer in self.layers]

    def members(self, layer: Layer) -> list[tarfile.TarInfo]:
        with Store.open(self.store) as store, tarfile.open(store.blob_path(layer.descriptor.digest)) as tar:
            return tar.getmembers()

    def text(self, layer: Layer, name: str) -> str:
        with Store.open(self.store) as store, tarfile.open(store.blob_path(layer.descriptor.digest)) as tar:
            file = tar.extractfile(name)
            assert file is not None
            return file.read().decode()

    def diff_ids(self) -> list[str]:
        return [str(layer.diff_id) for layer in self.layers]


class Wanted(TypedDict, total=False):
    """The fields of a `Request` that tests set: what :meth:`Workshop.build` takes by keyword."""

    platforms: tuple[Platform, ...]
    target: str | None
    names: tuple[Reference, ...]
    build_args: Mapping[str, str]
    contexts: Mapping[str, str]
    labels: Mapping[str, str]
    ignorefile: str | None
    ignores: bool
    epoch: int | None
    tracker: str
    hash_mode: HashMode
    audit: bool
    use_cache: bool
    uncached_stages: frozenset[str]
    refresh: bool
    keep_bases: bool
    at_once: int
    sandbox: SandboxOptions
    lent: Lent


class How(Wanted, total=False):
    """And how else it may be asked for a build."""

    store: Path | None
    limits: UnpackLimits
    recorder: Recorder | None


@dataclass
class Workshop:
    """A context directory, a base and a store."""

    context: Path
    store: Path
    base: Path

    def write(self, name: str, content: str | bytes = "x\n") -> Path:
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def build(
        self,
        dockerfile: str,
        *,
        store: Path | None = None,
        limits: UnpackLimits = USUAL,
        recorder: Recorder | None = None,
        **how: Unpack[Wanted],
    ) -> Result:
        """Builds a Dockerfile that may say ``FROM base``."""
        (self.context / "Dockerfile").write_text(dockerfile)
        request = Request(
            context=str(self.context),
            dockerfile=str(self.context / "Dockerfile"),
            origin=str(self.context),
            contexts={"base": str(self.base)},
        )
        recorder = recorder or Recorder()
        where = str(store or self.store)
        with Store.open(where) as opened:
            opened.limits = limits
            product = build(replace(request, **how), opened, recorder)
        inherited = 1 if dockerfile.rpartition("FROM ")[2].startswith("base") else 0
        return Result(product, where, recorder, inherited)


def args(**values: str) -> Mapping[str, str]:
    return values
