"""What a build says while it goes on: typed values, one way. Whoever shows them never answers."""

from threading import Lock
from typing import Literal, Protocol

from msgspec import Struct

from fswatch_builder.errors import Location

#: ``canceled``: something else failed, or a signal came.
Status = Literal["done", "cached", "config", "failed", "canceled"]


class StepStarted(Struct, frozen=True):
    """``number`` is unique in the build; ``position`` of ``total`` counts the instructions of the stage, FROM
    included; both are 0 for what is no instruction.
    """

    number: int
    stage: str
    position: int
    total: int
    title: str
    where: Location | None = None


class StepOutput(Struct, frozen=True):
    """A piece of what a RUN printed, as it came; ``seconds`` since the step started."""

    number: int
    stream: str  # stdout, stderr
    data: bytes
    seconds: float


class StepNote(Struct, frozen=True):
    """Something worth knowing about a step: a skipped socket, why a tracker was chosen."""

    number: int
    text: str


class StepMissed(Struct, frozen=True):
    """A step is not in the cache: why, at least one reason. Names and paths, never the value of a variable."""

    number: int
    reasons: tuple[str, ...]


class StepCosts(Struct, frozen=True):
    """Where the time of a step went, in seconds.

    ``arm``: putting the tracker in force, which is done once. ``work``: the command, or the copying. ``settle``: what
    the tracker knows. ``compare``: what changed. ``pack``: the layer, compressed and stored. ``advance``: the new
    baseline. What is missing of the whole went into the root file system, or into the look at the one it stands on.
    """

    arm: float = 0.0
    work: float = 0.0
    settle: float = 0.0
    compare: float = 0.0
    pack: float = 0.0
    advance: float = 0.0


class StepProgress(Struct, frozen=True):
    """How far a step is that takes more than a second: so many bytes of all. It comes several times a second."""

    number: int
    what: str
    done: int
    total: int


class StepReport(Struct, frozen=True):
    """What a step did and what it took to find out. Sizes in bytes; ``size`` of the tar, ``stored`` of the blob.
    ``costs`` is there if it was done, not taken from the cache.
    """

    tracker: str | None = None
    hints: int = 0
    losses: tuple[tuple[str, bytes], ...] = ()
    entries: int = 0
    size: int = 0
    stored: int = 0
    diff_id: str | None = None  # None: the step made no layer
    costs: StepCosts | None = None


class StepFinished(Struct, frozen=True):
    """The end of a step."""

    number: int
    status: Status
    seconds: float
    report: StepReport | None = None


class WarningFound(Struct, frozen=True):
    """About the Dockerfile."""

    rule: str
    message: str
    where: Location


class StoreMended(Struct, frozen=True):
    """What was wrong with the store when it was opened, and what was done about it."""

    text: str


class Unheeded(Struct, frozen=True):
    """Something that was asked for and has no effect: what, and why."""

    text: str


class ArgsUnused(Struct, frozen=True):
    """Build arguments that no line of the Dockerfile asks for."""

    names: tuple[str, ...]


class ImageStored(Struct, frozen=True):
    """An image is in the store. If it goes into an index, the names are that one's."""

    manifest: str
    config: str
    layers: int
    size: int  # of all blobs
    names: tuple[str, ...]
    layout: str  # directory
    platform: str


class IndexStored(Struct, frozen=True):
    """The index of the images is in the store."""

    index: str
    platforms: tuple[str, ...]
    names: tuple[str, ...]
    layout: str  # directory


class WorkStarted(Struct, frozen=True):
    """Something after the steps that may take a while: squashing, compressing anew, an output."""

    what: str


class OutputWritten(Struct, frozen=True):
    """An --output is complete."""

    kind: str
    path: str
    seconds: float


Event = (
    StepStarted
    | StepOutput
    | StepNote
    | StepMissed
    | StepProgress
    | StepFinished
    | WarningFound
    | StoreMended
    | Unheeded
    | ArgsUnused
    | ImageStored
    | IndexStored
    | WorkStarted
    | OutputWritten
)


class Events(Protocol):
    """Where events go."""

    def emit(self, event: Event) -> None:
        """Shows it or drops it."""


class InTurn:
    """Events from several threads, one after the other."""

    def __init__(self, events: Events) -> None:
        """They go to ``events``."""
        self._events = events
        self._turn = Lock()

    def emit(self, event: Event) -> None:
        """When it is its turn."""
        with self._turn:
            self._events.emit(event)
