"""What every builder under measurement can do."""

from typing import Protocol

from benchmarks.measure import Cost


class Peer(Protocol):
    """A builder, in one mode, with a base image of its own copy."""

    name: str

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""

    def prepare(self, rootfs: str, archive: str, work: str) -> None:
        """Imports the base image; not measured."""

    def build(self, dockerfile: str) -> Cost:
        """Builds a Dockerfile whose base is named ``bench-base``, nothing cached, and throws the result away."""

    def own_step_ms(self) -> float | None:
        """Median of what the last build says its RUNs took, the first left out; None if it does not say."""

    def close(self) -> None:
        """Ends what ``prepare`` started."""


class Exporting(Peer, Protocol):
    """One that can also leave its image in a file."""

    def export(self, context: str, output: str, *, fresh: bool) -> Cost:
        """Builds ``context``/Dockerfile, from the cache unless ``fresh``, and writes the image to a file."""
