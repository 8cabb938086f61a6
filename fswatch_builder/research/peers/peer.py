"""What every builder under measurement can do."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from fswatch_builder.research.peers.measuring import Cost

BASE = "localhost/bench-base"
"""What a Dockerfile for peers calls its base; several are ``bench-base-2`` and so on. No registry has it."""


class Absent(Struct, frozen=True):
    """A builder that was asked for and takes no part."""

    name: str
    reason: str


class Job(Struct, frozen=True):
    """What is to be built. The images that ``dockerfile`` starts from are those the peer was prepared with."""

    context: str
    dockerfile: str
    target: str | None = None
    build_args: tuple[str, ...] = ()


class Built(Struct, frozen=True):
    """A build that was done. ``runs``: seconds of each RUN by the builder's own clock, in order; none if it tells none.

    ``cost`` of a builder that has a daemon is the client's: its ``seconds`` are true, the rest is not the build's.
    """

    cost: Cost
    runs: tuple[float, ...] = ()


class Peer(Protocol):
    """A builder, in one mode, with images and a cache of its own."""

    @property
    def name(self) -> str:
        """As tables call it."""

    @property
    def has_daemon(self) -> bool:
        """Whether the work is done by another process than the one that is measured."""

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""

    def version(self) -> str:
        """What it says of itself."""

    def prepare(self, bases: Mapping[str, str], work: str) -> None:
        """Takes in the base images, ``docker save`` archives by name; not measured. All it needs it puts below the
        existing directory ``work``. PeerError.
        """

    def build(self, job: Job) -> Built:
        """Builds with nothing cached, and leaves the image where it keeps images. PeerError."""

    def export(self, job: Job, output: str, *, fresh: bool) -> Cost:
        """Builds, from the cache unless ``fresh``, and writes the image to a new file, as an archive. PeerError."""

    def close(self) -> None:
        """Ends what ``prepare`` started."""
