"""Stages that do not need one another are built at the same time, and it does not show in what comes out."""

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from fswatch_builder.build import unpacking
from fswatch_builder.build.events import StepFinished, StepNote, StepStarted
from fswatch_builder.errors import RunError
from fswatch_builder.model.digest import DiffID
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store
from tests.support.builds import Recorder, Result, Workshop, args
from tests.support.cli import fswatch_builder

pytestmark = pytest.mark.root

EPOCH = args(SOURCE_DATE_EPOCH="1000000000")
TRACKERS = ("auto", "fanotify", "inotify", "overlay", "scan")


def meets(me: str, *others: str) -> str:
    """A line that ends well only if RUNs with the lines of ``others`` go on at the same time."""
    seen = " && ".join(f"test -e /meet/{other}" for other in others)
    wait = f"for i in $(seq 400); do if {seen}; then exit 0; fi; sleep 0.05; done; exit 9"
    return f"RUN --mount=type=cache,id=meet,target=/meet touch /meet/{me}; {wait}\n"


def busy(name: str) -> str:
    """Steps whose changes a tracker finds only with some care, and that write all the time."""
    return f"""FROM base AS {name}
RUN mkdir -p /w/deep/er && for i in $(seq 60); do echo {name} $i >/w/$i; ln /w/$i /w/deep/$i; done
COPY t /t
RUN for i in $(seq 1 3 60); do echo more >>/w/deep/$i; done; mv /w/deep /moved; chmod 700 /w; rm /w/2 /moved/2
WORKDIR /made/by/{name}
RUN mv /moved/er /w/er && echo {name} >/w/er/end && rm -r /t && touch -d '2001-01-01 00:00:00' /w/5 && chown app /w/7
"""


FOUR = (
    "".join(busy(name) for name in "abcd")
    + """FROM c AS e
RUN rm -r /moved && echo e >/e
FROM base
RUN echo first >/first
COPY --from=a /w /a
COPY --from=b --chown=app /w/er /b
RUN --mount=from=e,target=/e,rw --mount=from=d,source=/w,target=/d cat /e/e /d/er/end >/f && echo gone >/e/x
COPY --link --from=e /e /
"""
)


def remembered(store: Path) -> tuple[list[object], list[object]]:
    """Steps with what they made, and layers with their blobs."""
    with closing(sqlite3.connect(store / "state.db")) as database:
        steps = database.execute("SELECT key, diff_id FROM steps ORDER BY key").fetchall()
        layers = database.execute("SELECT diff_id, compression, digest, size FROM layers ORDER BY 1, 2").fetchall()
    return steps, layers


def steps(result: Result) -> list[tuple[str, str]]:
    """Stage and end of each step, in the order of their ends."""
    started = {event.number: event for event in result.recorder.events if isinstance(event, StepStarted)}
    ends = [event for event in result.recorder.events if isinstance(event, StepFinished)]
    return [(started[event.number].stage, event.status) for event in ends]


@pytest.mark.parametrize("tracker", TRACKERS)
def test_four_at_once_give_what_one_after_the_other_gives(workshop: Workshop, tracker: str) -> None:
    for number in range(20):
        workshop.write(f"t/{number}", f"{number}\n")
    one, four = (
        workshop.build(
            FOUR,
            tracker=tracker,
            at_once=at_once,
            audit=at_once > 1,
            build_args=EPOCH,
            store=workshop.store / str(at_once),
        )
        for at_once in (1, 4)
    )
    assert four.names() == one.names()
    assert four.built.manifest == one.built.manifest
    assert four.built.image.history == one.built.image.history
    assert remembered(Path(four.store)) == remembered(Path(one.store))
    assert Counter(steps(four)) == Counter(steps(one))
    assert all(stage == "internal" or status in ("done", "config") for stage, status in steps(four))
    again = workshop.build(FOUR, tracker=tracker, at_once=4, build_args=EPOCH, store=workshop.store / "4")
    assert set(again.recorder.statuses()) == {"cached"}
    assert again.built.manifest == one.built.manifest


def test_stages_that_do_not_need_one_another_run_at_the_same_time(workshop: Workshop) -> None:
    text = "".join(f"FROM base AS {name}\n{meets(name, *'abc')}" for name in "abc")
    workshop.build(
        f"{text}FROM scratch\nCOPY --from=a /etc /a\nCOPY --from=b /etc /b\nCOPY --from=c /etc /c\n", at_once=3
    )


def test_a_stage_runs_up_to_the_instruction_that_takes_from_another(workshop: Workshop) -> None:
    text = f"FROM base AS tool\n{meets('tool', 'app')}RUN echo tool >/tool\n"
    result = workshop.build(f"{text}FROM base\n{meets('app', 'tool')}COPY --from=tool /tool /\n", at_once=2)
    assert result.names() == [["tool"]]


def test_one_at_a_time_is_the_order_of_the_file(workshop: Workshop) -> None:
    text = "".join(f"FROM base AS {name}\nRUN echo {name}\n" for name in "abc")
    text += "FROM base\nRUN echo last\nCOPY --from=c /etc /c\nCOPY --from=a /etc /a\nCOPY --from=b /etc /b\n"
    result = workshop.build(text, at_once=1)
    stages = [stage for stage, _ in steps(result) if stage != "internal"]
    assert stages == sorted(stages)
    assert result.recorder.printed() == "a\nb\nc\nlast\n"


def test_a_base_is_unpacked_once_for_all_stages(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[DiffID] = []
    unpack = unpacking.unpack

    def counting(layer: object, *others: object) -> int:
        unpacked.append(layer.diff_id)  # type: ignore[attr-defined]
        return unpack(layer, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(unpacking, "unpack", counting)
    text = "".join(f"FROM base AS {name}\nRUN echo {name} >/{name}\n" for name in "abc")
    text += "FROM base\n" + "".join(f"COPY --from={name} /{name} /\n" for name in "abc")
    result = workshop.build(text, at_once=4)
    waited = [e for e in result.recorder.events if isinstance(e, StepNote) and "another build" in e.text]
    assert waited == []
    kept = list((workshop.store / "kept/tree").glob("*"))
    assert unpacked.count(result.built.image.layers[0].diff_id) == (1 if kept else 4)


def test_equal_steps_of_two_stages_are_done_once(workshop: Workshop) -> None:
    """What the second stage gets is what the first made, though it would have made something else."""
    random = "RUN head -c 16 /dev/urandom | od >/random\n"
    text = f"FROM base AS a\n{random}RUN echo a >/a\nFROM base AS b\n{random}RUN echo b >/b\n"
    text += "FROM scratch\nCOPY --from=a /random /a\nCOPY --from=b /random /b\n"
    for _ in range(3):
        result = workshop.build(text, at_once=2, store=workshop.store / "new", use_cache=True)
        random_a, random_b = result.layers
        assert result.text(random_a, "a") == result.text(random_b, "b")
        text = text.replace(">/random", ">/random ")


def prints_its_sisters(name: str, sharing: str, others: Sequence[str]) -> str:
    """Leaves a file in a cache, and prints what it finds there when both RUNs have left theirs."""
    mount = f"--mount=type=cache,id=c,target=/c,sharing={sharing} --mount=type=cache,id=meet,target=/meet"
    wait = "; ".join(f"until test -e /meet/{other}; do sleep 0.02; done" for other in others)
    return f"FROM base AS {name}\nRUN {mount} touch /c/{name} /meet/{name}; {wait}; echo $(ls /c); touch /{name}\n"


@pytest.mark.parametrize(("sharing", "seen"), [("shared", ["a b", "a b"]), ("private", ["a", "b"])])
def test_two_stages_use_one_cache_at_the_same_time(workshop: Workshop, sharing: str, seen: list[str]) -> None:
    text = prints_its_sisters("a", sharing, "ab") + prints_its_sisters("b", sharing, "ab")
    result = workshop.build(f"{text}FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n", at_once=2)
    assert sorted(result.recorder.printed().splitlines()) == seen


def test_a_locked_cache_is_used_by_one_stage_after_the_other(workshop: Workshop) -> None:
    mount = "--mount=type=cache,id=c,target=/c,sharing=locked"
    add = "for i in $(seq 50); do n=$(cat /c/n 2>/dev/null); echo $((n + 1)) >/c/n; done"
    text = "".join(f"FROM base AS {name}\nRUN {mount} {add}; touch /by-{name}\n" for name in "abcd")
    text += "FROM base\n" + "".join(f"COPY --from={name} /by-{name} /\n" for name in "abcd")
    workshop.build(f"{text}RUN {mount} cat /c/n\n", at_once=4)
    assert workshop.build(f"FROM base\nRUN {mount} cat /c/n\n").recorder.printed() == "200\n"


def test_a_build_without_the_cache_renews_a_shared_cache_once_for_all_stages(workshop: Workshop) -> None:
    text = prints_its_sisters("a", "shared", "ab") + prints_its_sisters("b", "shared", "ab")
    text += "FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n"
    workshop.build("FROM base\nRUN --mount=type=cache,id=c,target=/c touch /c/old\n")
    result = workshop.build(text, at_once=2, use_cache=False)
    assert sorted(result.recorder.printed().splitlines()) == ["a b", "a b"]


def test_a_wait_for_a_cache_of_another_build_ends_when_a_stage_fails(workshop: Workshop) -> None:
    """The build would wait for ever: its other end is held here."""
    locked = "--mount=type=cache,id=c,target=/c,sharing=locked"
    sign = "--mount=type=cache,id=sign,target=/sign"
    workshop.build(f"FROM base\nRUN {locked} {sign} true\n")
    text = f"FROM base AS waits\nRUN {locked} touch /x\n"
    text += f"FROM base AS fails\nRUN {sign} until test -e /sign/go; do sleep 0.02; done; exit 3\n"
    text += "FROM scratch\nCOPY --from=waits /x /\nCOPY --from=fails /x /y\n"
    with Store.open(str(workshop.store)) as other:
        things = {thing.label: thing for thing in other.kept.things(Kind.MOUNT)}

        class Telling(Recorder):
            def emit(self, event: object) -> None:
                if isinstance(event, StepNote) and "waiting for the cache c" in event.text:
                    Path(things["sign"].path, "go").touch()

        with other.kept.turn(Kind.MOUNT, things["c"].key), pytest.raises(RunError, match="exit code: 3"):
            workshop.build(text, at_once=2, recorder=Telling())


def test_lines_are_whole_and_every_step_is_named(workshop: Workshop) -> None:
    names = "abcd"
    loud = "for i in $(seq 200); do echo line $i of"
    text = "".join(f"FROM base AS {name}\nRUN {loud} {name}; done; touch /{name}\n" for name in names)
    workshop.write("Dockerfile", text + "FROM scratch\n" + "".join(f"COPY --from={name} /{name} /\n" for name in names))
    done = fswatch_builder(
        "build", f"--store={workshop.store}", f"--build-context=base={workshop.base}", "--progress=plain", "--jobs=4",
        str(workshop.context),
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert all(re.match(r"#\d+ |$", line) for line in lines)
    said = Counter(match[1] for line in lines if (match := re.fullmatch(r"#\d+ [\d.]+ (line \d+ of [a-d])", line)))
    assert said == Counter(f"line {number} of {name}" for name in names for number in range(1, 201))
    latest = None
    for line in lines:
        number = line.partition(" ")[0]
        if number != latest and number:
            assert re.match(r"#\d+ \[", line), "another step begins with its title"
        latest = number or None
