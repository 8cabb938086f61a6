"""What is run in a guest, and what a guest says: one line of JSON each."""

import msgspec


class Suite(msgspec.Struct, frozen=True):
    """One run of pytest."""

    name: str
    arguments: list[str]
    environment: dict[str, str] = {}


class Plan(msgspec.Struct, frozen=True):
    """What a guest is asked to do."""

    suites: list[Suite]
    seconds_per_test: int
    seconds_per_suite: int


class Started(msgspec.Struct, frozen=True, tag=True):
    """The guest is up."""

    release: str


class Verdict(msgspec.Struct, frozen=True, tag=True):
    """A suite has ended."""

    suite: str
    status: int
    """pytest's exit status, `TOO_LONG` if it was stopped."""
    summary: str
    """pytest's last line."""
    failures: list[str]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The guest cannot go on."""

    why: str


TOO_LONG = 124


def suites(examples: int, seed: int) -> list[Suite]:
    """All of them, the quick ones first. ``examples`` random programs, repeatable by ``seed``."""
    unit = [f"tests/unit/{part}" for part in ("changes", "native", "runtime", "tracking")]
    builds = [f"tests/e2e/test_{name}.py" for name in ("build_command", "build_run", "build_layers", "trackers_agree")]
    return [
        Suite("kernel", ["tests/kernel"]),
        Suite("unit", [*unit, "tests/property/test_reconcile.py"]),
        Suite("conformance", ["tests/conformance"]),
        Suite("faults", ["tests/faults"]),
        Suite("builds", builds),
        Suite(
            "random",
            ["tests/property/test_trackers.py"],
            {"PROGRAMS": str(examples), "PROGRAMS_SEED": str(seed)},
        ),
    ]
