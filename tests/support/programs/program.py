"""A random program: what is unpacked, and the steps that follow. A value, to be kept, shortened and shown."""

import random
from dataclasses import dataclass, replace

from fswatch_builder.tracking.limits import read_limits
from tests.support.programs.actor import MAIN, NAMES, Operation
from tests.support.programs.operations import INSIDE, OUTSIDE, process_for
from tests.support.programs.processes import Kill

VARIANTS = 64
"""So many bases there are."""


@dataclass(frozen=True, slots=True)
class Run:
    """A RUN. Without operations it is ``RUN true``."""

    operations: tuple[Operation, ...]
    at_once: bool = False
    is_read: bool = True
    """Whether a tracker reads events while the RUN runs."""
    kill: Kill | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """Entries of the base's source, chosen by numbers, to a place below a directory chosen by a number."""

    files: tuple[int, ...]
    place: int
    name: str
    mode: str | None


@dataclass(frozen=True, slots=True)
class Add:
    """The base's archive once more, into a directory that is there."""

    place: int
    owner: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Workdir:
    """WORKDIR below a directory chosen by a number."""

    place: int
    name: str


Step = Run | Copy | Add | Workdir


@dataclass(frozen=True, slots=True)
class Program:
    """``watches``: what a second inotify tracker may have."""

    variant: int
    watches: int
    steps: tuple[Step, ...]


COPY_NAMES = ("", "a", "b/c", "u/", "new/")
WORKDIR_NAMES = ("a", "a/b/c", "new/er")


def drawn_operation(source: random.Random) -> Operation:
    action = source.choice(OUTSIDE if source.random() < 0.08 else INSIDE)
    process = process_for(action, source.randrange(40))
    numbers = (source.randrange(41), source.randrange(41), source.randrange(len(NAMES)), source.randrange(8))
    return Operation(action, process, *numbers)


def drawn_run(source: random.Random, *, faults: bool) -> Run:
    operations = [drawn_operation(source) for _ in range(source.choice((1, 2, 4, 6, 8, 12)))]
    if faults and source.random() < 0.1:
        flood = Operation("flood", MAIN, read_limits().queued_events, 0, 0, 0)
        operations.insert(source.randrange(len(operations) + 1), flood)
        return Run(tuple(operations), is_read=False)
    if faults and source.random() < 0.05:
        storm = Operation("storm", MAIN, source.randrange(41), source.randrange(41), 0, source.randrange(8))
        operations.insert(source.randrange(len(operations) + 1), storm)
    kill = None
    if faults and source.random() < 0.3:
        kill = Kill(source.randrange(len(operations)), source.choice((0, 100, 300, 1000, 3000)))
    return Run(
        tuple(operations),
        at_once=source.random() < (0.5 if kill else 0.15),
        is_read=source.random() < 0.7,
        kill=kill,
    )


def drawn_step(source: random.Random, *, faults: bool) -> Step:
    match source.randrange(12):
        case 0:
            files = tuple(source.randrange(41) for _ in range(source.randint(1, 3)))
            return Copy(files, source.randrange(41), source.choice(COPY_NAMES), source.choice((None, "0640")))
        case 1:
            return Add(source.randrange(41), source.choice((None, (3, 4))))
        case 2:
            return Workdir(source.randrange(41), source.choice(WORKDIR_NAMES))
        case 3:
            return Run(())
        case _:
            return drawn_run(source, faults=faults)


def drawn(source: random.Random, *, faults: bool = False) -> Program:
    """One to five steps, one of them a RUN that does something."""
    steps = [drawn_step(source, faults=faults) for _ in range(source.randint(0, 4))]
    steps.insert(source.randrange(len(steps) + 1), drawn_run(source, faults=faults))
    return Program(source.randrange(VARIANTS), source.randrange(7), tuple(steps))


def first_operations(variant: int) -> list[Operation]:
    """What makes the source of one base differ from the others."""
    source = random.Random(f"base {variant}")
    made = [drawn_operation(source) for _ in range(variant % 8)]
    return [operation for operation in made if operation.action in INSIDE]


def shorter(program: Program) -> list[Program]:
    """Ways to make it smaller, the boldest first."""
    steps = program.steps
    smaller: list[Program] = []
    for size in dict.fromkeys((len(steps) // 2, 1)):
        if size:
            smaller += [
                replace(program, steps=steps[:at] + steps[at + size :])
                for at in reversed(range(len(steps) - size + 1))
                if len(steps) > size
            ]
    for at, step in enumerate(steps):
        smaller += [replace(program, steps=(*steps[:at], less, *steps[at + 1 :])) for less in _shorter_step(step)]
    if program.variant:
        smaller.append(replace(program, variant=0))
    return smaller


def _shorter_step(step: Step) -> list[Step]:
    if not isinstance(step, Run):
        return []
    smaller: list[Step] = []
    operations = step.operations
    for size in dict.fromkeys((len(operations) // 2, 1)):
        if size:
            smaller += [
                replace(step, operations=operations[:at] + operations[at + size :])
                for at in reversed(range(len(operations) - size + 1))
            ]
    if step.kill:
        smaller.append(replace(step, kill=None))
    if step.at_once:
        smaller.append(replace(step, at_once=False))
    if not step.is_read:
        smaller.append(replace(step, is_read=True))
    for at, operation in enumerate(operations):
        if operation.process not in (MAIN, process_for(operation.action, MAIN)):
            lone = operation._replace(process=process_for(operation.action, MAIN))
            smaller.append(replace(step, operations=(*operations[:at], lone, *operations[at + 1 :])))
        smaller += [
            replace(step, operations=(*operations[:at], operation._replace(**{name: 0}), *operations[at + 1 :]))  # type: ignore[arg-type]
            for name in ("one", "other", "name", "number")
            if getattr(operation, name) and operation.action != "flood"
        ]
    return smaller
