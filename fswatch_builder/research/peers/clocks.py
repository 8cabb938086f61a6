"""When each RUN began and ended, by what a builder prints."""

import re
from collections.abc import Iterable, Iterator

from fswatch_builder.research.peers.measuring import Line

_BUILDAH = re.compile(r"(?:\[\d+/\d+\] )?(?:STEP \d+(?:/\d+)?: (?P<word>\w+)|COMMIT\b)")
_KANIKO = re.compile(
    r'time="[^"]*" level=info msg="(?:(?P<word>RUN|COPY|ADD|WORKDIR|ENV|ARG|LABEL|CMD|ENTRYPOINT|USER|EXPOSE|VOLUME|'
    r"SHELL|STOPSIGNAL|HEALTHCHECK|ONBUILD)|Storing source image|Building stage|Skipping push|Pushing image|Deleting f)"
)
_BUILDKIT_BEGIN = re.compile(r"#(?P<number>\d+) \[[^\]]*\d+/\d+\] RUN ")
_BUILDKIT_END = re.compile(r"#(?P<number>\d+) DONE (?P<seconds>\d+\.\d+)s")


def buildah_runs(lines: Iterable[Line]) -> tuple[float, ...]:
    """A step ends where the next begins, or the image is committed."""
    return tuple(_between(lines, _BUILDAH))


def kaniko_runs(lines: Iterable[Line]) -> tuple[float, ...]:
    """As for buildah: it announces an instruction, does it, and takes its snapshot before the next."""
    return tuple(_between(lines, _KANIKO))


def _between(lines: Iterable[Line], boundary: re.Pattern[str]) -> Iterator[float]:
    begun: float | None = None
    last = 0.0
    for line in lines:
        last = line.seconds
        found = boundary.match(line.text)
        if found is None:
            continue
        if begun is not None:
            yield line.seconds - begun
        begun = line.seconds if found["word"] == "RUN" else None
    if begun is not None:
        yield last - begun


def buildkit_runs(lines: Iterable[Line]) -> tuple[float, ...]:
    """What it says itself, to a tenth of a second. Layers are made when all is built, so their cost is not in it."""
    begun: dict[str, int] = {}
    seconds: dict[int, float] = {}
    for line in lines:
        if found := _BUILDKIT_BEGIN.match(line.text):
            begun.setdefault(found["number"], len(begun))
        elif (found := _BUILDKIT_END.match(line.text)) and found["number"] in begun:
            seconds[begun[found["number"]]] = float(found["seconds"])
    return tuple(seconds[position] for position in sorted(seconds))
