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


UNIT = [
    *(f"tests/unit/{part}" for part in ("changes", "native", "runtime", "tracking")),
    "tests/property/test_reconcile.py",
]
BUILDS = [
    *(
        f"tests/e2e/test_{name}.py"
        for name in ("build_command", "build_run", "build_layers", "trackers_agree", "audit")
    ),
    *(f"tests/e2e/test_track_{name}.py" for name in ("command", "streams_and_signals")),
]

TABLES: dict[str, tuple[list[str], int]] = {
    "unit": (UNIT, 5),
    "kernel": (["tests/kernel"], 11),
    "conformance": (["tests/conformance"], 7),
    "faults": (["tests/faults"], 7),
    "builds": (BUILDS, 7),
}
"""The files of a suite, and of how many tests the quick plan runs one: primes, since tables have 2, 4 or 5 columns."""

PROGRAMS = 300
PROGRAMS_QUICK = 30


def suites(programs: int | None, seed: int, *, quick: bool) -> list[Suite]:
    """All of them. ``seed`` says which random programs, and which part of the tables if it is to be quick."""
    found = []
    for name, (files, step) in TABLES.items():
        if quick:
            part = {"PART": f"{seed % step}/{step}"}
            found.append(Suite(name, ["-p", "tests.guest.part", *files], part))
        else:
            found.append(Suite(name, files))
    if programs is None:
        programs = PROGRAMS_QUICK if quick else PROGRAMS
    drawn = {"PROGRAMS": str(programs), "PROGRAMS_SEED": str(seed)}
    return [
        *found,
        Suite("random", ["tests/property/test_trackers.py"], drawn),
        Suite("nfs", ["tests/guest/nfs_in_guest.py"], {"SEED": str(seed)}),
    ]
