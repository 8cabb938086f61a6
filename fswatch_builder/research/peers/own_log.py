"""What this builder tells of a build with ``--progress rawjson``: each step, where its time went, the image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct, field

from fswatch_builder.research.peers.measuring import Line

_EVENT = '{"event"'


class Costs(Struct, frozen=True):
    """Where the time of a step went, in seconds: as ``StepCosts`` of the builder has it."""

    arm: float = 0.0
    work: float = 0.0
    settle: float = 0.0
    compare: float = 0.0
    pack: float = 0.0
    advance: float = 0.0

    @property
    def again(self) -> float:
        """What one more step like it takes: all but arming, which is done once."""
        return self.work + self.find + self.pack + self.advance

    @property
    def find(self) -> float:
        """From the end of the command to the list of changes."""
        return self.settle + self.compare


class Report(Struct, frozen=True):
    """What a step did, as far as it is of use here."""

    tracker: str | None = None
    hints: int = 0
    losses: Sequence[tuple[str, str]] = ()
    entries: int = 0
    size: int = 0
    diff_id: str | None = None
    costs: Costs | None = None


class Step(Struct, frozen=True):
    """One instruction that was done. ``seconds`` is all of it, making the root file system too if it was the first."""

    title: str
    seconds: float
    report: Report

    @property
    def is_run(self) -> bool:
        """Whether a command ran: only then changes had to be found."""
        return self.report.tracker is not None

    @property
    def once(self) -> float:
        """What of it the next step need not do again: unpacking, arming."""
        return 0.0 if self.report.costs is None else max(0.0, self.seconds - self.report.costs.again)


class Told(Struct, frozen=True):
    """A whole build. ``said`` is what it printed besides events: its error, if it failed."""

    steps: tuple[Step, ...]
    manifest: str | None
    said: tuple[str, ...]


class _Event(Struct, frozen=True):
    event: str
    number: int = 0
    title: str = ""
    status: str = ""
    seconds: float = 0.0
    report: Report | None = None
    manifest: str | None = None


class _Reading(Struct):
    titles: dict[int, str] = field(default_factory=dict)
    manifest: str | None = None
    said: list[str] = field(default_factory=list)


def told(lines: Iterable[Line]) -> Told:
    """Read from what was printed."""
    reading = _Reading()
    steps = tuple(_steps(lines, reading))
    return Told(steps, reading.manifest, tuple(reading.said))


def _steps(lines: Iterable[Line], reading: _Reading) -> Iterator[Step]:
    decoder = msgspec.json.Decoder(_Event)
    for line in lines:
        if not line.text.startswith(_EVENT):
            reading.said.append(line.text)
            continue
        event = decoder.decode(line.text)
        match event.event:
            case "StepStarted":
                reading.titles[event.number] = event.title
            case "StepFinished" if event.status == "done" and event.report is not None:
                yield Step(reading.titles.get(event.number, ""), event.seconds, event.report)
            case "ImageStored":
                reading.manifest = event.manifest
            case _:
                pass


def environment(of: Mapping[str, str]) -> dict[str, str]:
    """Of a build that is measured: options that would send its image elsewhere, or say how it is to be built, are left
    out; those that say what is built stay. Its modules are compiled once, as they are where a wheel was installed.
    """
    return {
        name: value
        for name, value in of.items()
        if (not name.startswith(_PREFIX) or name.removeprefix(_PREFIX) in _WHAT_IS_BUILT) and name != _NEVER_COMPILED
    }


_PREFIX = "FSWATCH_BUILDER_"
#: Every start would compile what changed since it was last compiled.
_NEVER_COMPILED = "PYTHONDONTWRITEBYTECODE"
_WHAT_IS_BUILT = frozenset(
    {
        "BUILD_ARG",
        "BUILD_ARG_FILE",
        "BUILD_CONTEXT",
        "IGNOREFILE",
        "SECRET",
        "SSH",
        "ALLOW",
        "NETWORK",
        "ADD_HOST",
        "SHM_SIZE",
        "ULIMIT",
        "UNPACK_LIMIT",
    }
)
