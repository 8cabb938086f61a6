"""What the figures were taken on, as a record of plain values."""

from msgspec.structs import asdict

from fswatch_builder.research import machine


def describe(directory: str) -> dict[str, object]:
    """The machine, with the file system that ``directory`` lies in."""
    return asdict(machine.describe(directory))


def version(*argv: str) -> str:
    """First line a tool prints of its version; ``not installed`` if there is none."""
    return machine.version_of(*argv) or "not installed"
