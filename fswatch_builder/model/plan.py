"""What has to be built, found from the Dockerfile alone: no image, no file has been looked at."""

from collections.abc import Mapping

from msgspec import Struct, field

from fswatch_builder.errors import Location
from fswatch_builder.model.instruction import Checks, Instruction, Warning  # noqa: A004 - the language's own word
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.sandbox import SandboxOptions


class Scratch(Struct, frozen=True):
    """``FROM scratch``: no layer, no file."""


class StageSource(Struct, frozen=True):
    """A stage of the same Dockerfile, by its index."""

    index: int


class NamedContext(Struct, frozen=True):
    """What ``--build-context NAME=VALUE`` gave. If it is an image of several, that for ``platform`` is meant."""

    name: str
    value: str
    platform: Platform


class ImageSource(Struct, frozen=True):
    """An image by the name the Dockerfile calls it, variables expanded, for ``platform``."""

    reference: str
    platform: Platform


class MainContext(Struct, frozen=True):
    """The build context itself, or the heredocs of the instruction."""


#: What a stage starts from.
Base = Scratch | StageSource | NamedContext | ImageSource
#: Where COPY and ADD take files from.
CopySource = MainContext | StageSource | NamedContext | ImageSource


class Stage(Struct, frozen=True):
    """One stage, its references resolved. ``instructions`` are those after FROM.

    ``label`` is what progress calls it, with ``prefix`` before it if there are several platforms. ``args`` are the
    values of the global ARGs that it asks for by a bare ARG. ``sources`` maps the text of each ``COPY --from`` in it to
    what it names, ``mount_sources`` that of each ``RUN --mount=from=``, where a number is no stage.
    Invariant: a StageSource in ``base`` or these two has an index below ``index``, so there is no cycle.
    """

    index: int
    name: str | None
    base: Base
    base_text: str
    platform: Platform
    where: Location
    instructions: tuple[Instruction, ...]
    label: str
    prefix: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, CopySource] = field(default_factory=dict)
    mount_sources: Mapping[str, CopySource | Scratch] = field(default_factory=dict)

    @property
    def needs(self) -> frozenset[int]:
        """The stages this one takes something from."""
        everything = (self.base, *self.sources.values(), *self.mount_sources.values())
        return frozenset(source.index for source in everything if isinstance(source, StageSource))

    @property
    def starts_from(self) -> frozenset[int]:
        """The stage that FROM names, if it is one."""
        return frozenset({self.base.index} if isinstance(self.base, StageSource) else ())


class Plan(Struct, frozen=True):
    """The stages the target needs, each after those it needs; the last one is the target."""

    stages: tuple[Stage, ...]
    global_args: Mapping[str, str]
    build_args: Mapping[str, str]
    escape: str
    source_date_epoch: int | None = None  # seconds
    asks_for_context_epoch: bool = False  # it is to be the time of the build context
    warnings: tuple[Warning, ...] = ()
    checks: Checks = field(default_factory=Checks)
    unused_args: tuple[str, ...] = ()  # of ``build_args``: no line asks for them
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)

    @property
    def target(self) -> Stage:
        """The stage whose image is asked for."""
        return self.stages[-1]
