"""Why a step misses the cache: every input by its name, never a value, and nothing that did not change."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import pytest

from fswatch_builder.build.keys import copy_inputs, directory_inputs, mount_key, run_inputs
from fswatch_builder.build.misses.reasons import differences
from fswatch_builder.build.misses.record import StepRecord, recorded
from fswatch_builder.build.misses.story import StageStory, Stories
from fswatch_builder.build.parts import Part
from fswatch_builder.build.state import SCRATCH, begin
from fswatch_builder.build.steps import translate
from fswatch_builder.model.digest import ChainID
from fswatch_builder.model.sandbox import SandboxOptions, Ulimit
from fswatch_builder.model.step import CopyAction, DirectoryAction, RootfsStep, RunAction
from fswatch_builder.oci.store import Store
from tests.unit.build.planning import planned

PARENT, OTHER = ChainID.from_raw(bytes(32)), ChainID.from_raw(b"\1" * 32)
SECRET = "hunter2"


@dataclass(frozen=True)
class Given:
    """A Dockerfile and what else is said."""

    text: str
    args: Mapping[str, str] = field(default_factory=dict)
    epoch: int | None = None
    parts: tuple[Part, ...] = ()
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)


def records(given: Given, parent: ChainID | None = PARENT) -> list[StepRecord]:
    """Of its steps."""
    the_plan = planned(given.text, args=given.args, sandbox=given.sandbox)
    (stage,) = the_plan.stages
    state, found = begin(SCRATCH), []
    content = b"".join(part.digest for part in given.parts)
    for instruction in stage.instructions:
        step, state = translate(instruction, state, stage, the_plan)
        if not isinstance(step, RootfsStep):
            continue
        match step.action:
            case RunAction() as action:
                mounts = [mount_key(mount, content) for mount in action.mounts]
                inputs = run_inputs(parent, action, given.epoch, mounts)
            case CopyAction() as action:
                inputs = copy_inputs(parent, action, content, given.epoch)
            case DirectoryAction() as action:
                inputs = directory_inputs(parent, action, given.epoch)
        found.append(recorded(instruction, inputs, given.parts))
    return found


def why(before: Given, now: Given) -> tuple[str, ...]:
    """Of the last step; its key differs if there is a reason, and only then."""
    one, other = records(before)[-1], records(now)[-1]
    found = differences(one, other)
    assert (one.key != other.key) == bool(found)
    return found


def run(line: str = "RUN x", *, before: str = "", **how: object) -> Given:
    return Given(f"FROM scratch\n{before}{line}\n", **how)  # type: ignore[arg-type]


FILES = (Part("files", b"1" * 32),)
OPTIONS = {
    "--add-host changed": SandboxOptions(hosts=(("h", "127.0.0.1"),)),
    "--shm-size changed": SandboxOptions(shm_size=1),
    "--ulimit changed": SandboxOptions(ulimits=(Ulimit("nofile", 1, 1),)),
    "--network changed": SandboxOptions(network="none"),
}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (run("RUN make"), run("RUN make all"), ["the instruction was: RUN make"]),
        (run("RUN <<E\none\ntwo\nE"), run("RUN <<E\none\n2\nE"), ["the instruction was: RUN <<E ... two"]),
        (run("RUN x", before="ENV A=1\n"), run("RUN x", before="ENV A=2\n"), ["the variable A changed"]),
        (run("RUN x", before="ENV A=1\n"), run(), ["the variable A is gone"]),
        (run(), run("RUN x", before="ENV A=1\n"), ["the variable A is new"]),
        (
            run("RUN x", before="ENV A=1\nENV B=1\n"),
            run("RUN x", before="ENV B=1\nENV A=1\n"),
            ["the order of the variables changed"],
        ),
        (
            run("RUN x", before="ARG T\n", args={"T": SECRET}),
            run("RUN x", before="ARG T\n", args={"T": "other"}),
            ["the variable T changed"],
        ),
        (run("RUN x", before="USER u\n"), run("RUN x", before="USER v\n"), ["USER changed"]),
        (run("RUN x", before="WORKDIR /a\n"), run("RUN x", before="WORKDIR /b\n"), ["WORKDIR changed"]),
        (run("RUN x", before='SHELL ["a"]\n'), run("RUN x", before='SHELL ["b"]\n'), ["SHELL changed"]),
        (run(), run(epoch=1), ["SOURCE_DATE_EPOCH changed"]),
        (run(), run(args={"BUILDKIT_SANDBOX_HOSTNAME": "h"}), ["BUILDKIT_SANDBOX_HOSTNAME changed"]),
        (
            run("RUN --mount=type=cache,target=/c x"),
            run("RUN --mount=type=cache,target=/c x", args={"BUILDKIT_CACHE_MOUNT_NS": "n"}),
            ["BUILDKIT_CACHE_MOUNT_NS changed"],
        ),
        *((run(), run(sandbox=options), [reason]) for reason, options in OPTIONS.items()),
        (run("COPY a /x"), run("COPY a /y"), ["the instruction was: COPY a /x"]),
        (
            run("COPY a $D", before="ARG D=/x\n"),
            run("COPY a $D", before="ARG D=/y\n"),
            ["the destination changed, by a variable or WORKDIR"],
        ),
        (
            run("COPY --chown=$U a /x", before="ARG U=1\n"),
            run("COPY --chown=$U a /x", before="ARG U=2\n"),
            ["--chown changed, by a variable"],
        ),
        (
            run("COPY <<E /x\n$V\nE", before="ARG V=1\n"),
            run("COPY <<E /x\n$V\nE", before="ARG V=2\n"),
            ["its heredoc changed, by a variable"],
        ),
        (
            run("WORKDIR $D", before="ARG D=/x\n"),
            run("WORKDIR $D", before="ARG D=/y\n"),
            ["the path changed, by a variable or an earlier WORKDIR"],
        ),
        (
            run("WORKDIR /d", before="USER u\n"),
            run("WORKDIR /d", before="USER v\n"),
            ["USER, which the directory is made for, changed"],
        ),
        (run("COPY a /", parts=FILES), run("COPY a /", parts=(Part("files", b"2" * 32),)), ["files changed"]),
        (
            run("ADD a /", parts=(Part("the commit of u", b"1" * 32, "12"),)),
            run("ADD a /", parts=(Part("the commit of u", b"2" * 32, "ab"),)),
            ["the commit of u changed, it was 12 and is ab"],
        ),
        (
            run("RUN --mount=target=/m,from=i x", parts=FILES),
            run("RUN --mount=target=/m,from=i x", parts=(Part("files", b"2" * 32),)),
            ["files changed"],
        ),
        (run("RUN x # a"), run("RUN x # b"), ["the instruction was: RUN x # a"]),
        (run("RUN   x"), run("RUN x"), []),
        (run("RUN x", args={"HTTP_PROXY": "a"}), run("RUN x", args={"HTTP_PROXY": "b"}), []),
        (run("RUN --mount=type=secret,id=s x"), run("RUN --mount=type=secret,id=s x"), []),
    ],
)
def test_each_input_by_its_name(before: Given, now: Given, expected: list[str]) -> None:
    assert why(before, now) == tuple(expected)


def test_an_edited_line_explains_what_it_takes_and_no_more() -> None:
    before = run("COPY a /x", parts=FILES)
    now = run("COPY b /x", parts=(Part("files", b"2" * 32),), epoch=1)
    assert why(before, now) == ("the instruction was: COPY a /x", "SOURCE_DATE_EPOCH changed")


def test_no_value_is_kept() -> None:
    (record,) = records(run("RUN x", before="ARG T\nENV U=$T\n", args={"T": SECRET}))
    assert SECRET.encode() not in msgspec.msgpack.encode(record)


def test_a_long_line_is_cut() -> None:
    (reason,) = why(run(f"RUN {'a' * 10_000}"), run(f"RUN {'a' * 10_000}b"))
    assert len(reason) < 200


# Which step is held against which.


def stories_of(store: Store, given: Given) -> Stories:
    return Stories(store, ("/c", "/c/Dockerfile"), planned(given.text, args=given.args).stages, keep=True)


def told(tmp_path: str, before: Given, now: Given, *, parent: ChainID | None = OTHER) -> list[tuple[str, ...]]:
    """Why each step of ``now`` misses after a build of ``before``, each on another state than it was."""
    with Store.open(tmp_path) as store:
        stories = stories_of(store, now)
        _build(stories, before, PARENT)
        found: list[tuple[str, ...]] = []
        (stage,) = planned(now.text, args=now.args).stages
        with stories.of(stage, None) as story:
            for position, record in zip(_positions(story, now), records(now, parent), strict=True):
                found.append(story.why(position, record))
        return found


def _build(stories: Stories, given: Given, parent: ChainID | None) -> None:
    (stage,) = planned(given.text, args=given.args).stages
    with stories.of(stage, None) as story:
        for position, record in zip(_positions(story, given), records(given, parent), strict=True):
            story.step(position).done(record)


def _positions(_: StageStory, given: Given) -> list[int]:
    lines = given.text.splitlines()[1:]
    return [position for position, line in enumerate(lines) if line.startswith(("RUN", "COPY", "ADD", "WORKDIR"))]


BELOW = "the step before it changed"


def test_without_an_earlier_build_that_is_said(tmp_path: str) -> None:
    with (
        Store.open(str(tmp_path)) as store,
        stories_of(store, run()).of(planned(run().text).stages[0], None) as story,
    ):
        assert story.why(0, records(run())[0]) == ("no earlier build of it is recorded here",)


def test_steps_after_an_inserted_one_are_held_against_themselves(tmp_path: str) -> None:
    before = Given("FROM scratch\nRUN a\nENV X=1\nRUN b\n")
    now = Given("FROM scratch\nCOPY f /\nRUN a\nENV X=1\nRUN b\n")
    assert told(str(tmp_path), before, now) == [("the instruction is new",), (BELOW,), (BELOW,)]


def test_steps_after_one_that_was_taken_out_are_held_against_themselves(tmp_path: str) -> None:
    before = Given("FROM scratch\nRUN a\nRUN b\nRUN c\n")
    assert told(str(tmp_path), before, Given("FROM scratch\nRUN b\nRUN c\n")) == [(BELOW,), (BELOW,)]


def test_what_replaced_a_step_of_another_kind_is_new(tmp_path: str) -> None:
    before = Given("FROM scratch\nRUN a\nCOPY b /\nRUN c\n")
    now = Given("FROM scratch\nWORKDIR /w\nADD b /\nRUN d\n")
    assert told(str(tmp_path), before, now, parent=PARENT) == [
        ("the instruction is new",),
        ("the instruction was: COPY b /",),
        ("the instruction was: RUN c", "WORKDIR changed"),
    ]


def test_an_edited_step_is_held_against_what_stood_there(tmp_path: str) -> None:
    before = Given("FROM scratch\nRUN a\nRUN b\nRUN c\n")
    now = Given("FROM scratch\nRUN a\nRUN B\nRUN c\n")
    assert told(str(tmp_path), before, now, parent=PARENT) == [
        ("its result is not in the store any more",),
        ("the instruction was: RUN b",),
        ("its result is not in the store any more",),
    ]


def test_what_another_version_kept_is_not_read(tmp_path: str) -> None:
    (stage,) = planned(run().text).stages
    with Store.open(str(tmp_path)) as store:
        _build(stories_of(store, run()), run(), PARENT)
        store.state.change("UPDATE notes SET value = ?", b"\xc1")
        with stories_of(store, run()).of(stage, None) as story:
            assert story.why(0, records(run())[0]) == ("no earlier build of it is recorded here",)


def test_what_is_kept_of_files_has_a_bound(tmp_path: str) -> None:
    given = Given("FROM scratch\nCOPY a /\nCOPY b /\n", parts=FILES)
    (stage,) = planned(given.text).stages
    with Store.open(str(tmp_path)) as store:
        with stories_of(store, given).of(stage, None) as story:
            for position, record in enumerate(records(given)):
                story.done(position, msgspec.structs.replace(record, listings={"files": os.urandom(3 << 19)}))
        ((size,),) = store.state.rows("SELECT length(value) FROM notes")
        assert 3 << 19 < size < 2 << 20
