"""Steps are done on a kept base while it is looked at: nothing of them counts until it is found to be as it was."""

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fswatch_builder._native import Rootfs
from fswatch_builder.build import belief, kept_bases
from fswatch_builder.build.events import Event, StepOutput
from fswatch_builder.build.mounting import Lent
from fswatch_builder.errors import BuildError, RunError
from fswatch_builder.model.sandbox import SECURITY_INSECURE, SandboxOptions
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.builds import Recorder, Result, Workshop
from tests.support.cli import fswatch_builder
from tests.support.kept import EPOCH, FROM_EARLIER, kept_notes, leftovers, notes, of_another_boot, trees
from tests.support.overlays import needs_overlay_tracker

pytestmark = [pytest.mark.root, needs_overlay_tracker]

AGAIN = "what this step did meanwhile is thrown away; it is done again"
WAITS = "waiting until what earlier builds unpacked is looked at"
PATIENCE_S = 60.0


class Looks:
    """Looks at kept trees, each held until ``go`` is set: by whoever waits for a verdict first, unless that is another
    one's to do. ``asked`` has what ``watch`` saw whenever somebody waited; ``then`` is done with each verdict.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.go_when_asked = True
        self.begun: list[str] = []
        self.asked: list[object] = []
        self.watch: Callable[[], object] = lambda: None
        self.then: Callable[[], object] = lambda: None
        self.error: OSError | None = None
        look, ask = belief.difference, belief.Look.fault

        def difference(tree: str, *, read_all: bool, rootfs: Rootfs | None = None) -> str | None:
            if threading.current_thread().name == "look at a kept tree":
                self.begun.append(tree)
                assert self.go.wait(PATIENCE_S), "nobody waits for the verdict"
                if self.error is not None:
                    raise self.error
            return look(tree, read_all=read_all, rootfs=rootfs)

        def fault(one: belief.Look) -> str | None:
            self.asked.append(self.watch())
            if self.go_when_asked:
                self.go.set()
            found = ask(one)
            self.then()
            return found

        monkeypatch.setattr(belief, "difference", difference)
        monkeypatch.setattr(belief.Look, "fault", fault)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


def rewrite(root: Path) -> None:
    """The same size, the same times."""
    before = os.stat(root / "etc/group")
    (root / "etc/group").write_text((root / "etc/group").read_text().replace("app", "APP"))
    os.utime(root / "etc/group", ns=(before.st_atime_ns, before.st_mtime_ns))


def kept_rootfs(workshop: Workshop) -> Path:
    """Of the base, which is kept from here on."""
    workshop.build("FROM base\nRUN true\n")
    (tree,) = trees(workshop.store)
    return tree / "rootfs"


def plain(workshop: Workshop, lines: str) -> Result:
    """By a build that keeps nothing."""
    return workshop.build(
        lines, keep_bases=False, tracker="scan", use_cache=False, build_args=EPOCH, store=workshop.store / "plain"
    )


def again(workshop: Workshop, lines: str, recorder: Recorder | None = None, *, at_once: int = 0) -> Result:
    return workshop.build(lines, use_cache=False, build_args=EPOCH, recorder=recorder, at_once=at_once)


def stored(store: Path) -> tuple[list[str], int, int]:
    """What a step leaves in a store."""
    with closing(sqlite3.connect(store / "state.db")) as database:
        ((steps,),) = database.execute("SELECT count(*) FROM steps")
        ((layers,),) = database.execute("SELECT count(*) FROM layers")
    return sorted(os.listdir(store / "blobs/sha256")), steps, layers


def test_a_run_goes_on_while_its_base_is_looked_at_and_is_kept_after_that(workshop: Workshop, looks: Looks) -> None:
    lines = "FROM base\nRUN echo said; echo x >/x\n"
    expected = plain(workshop, lines)
    kept_rootfs(workshop)
    before = stored(workshop.store)
    recorder = Recorder()
    looks.watch = lambda: (recorder.printed(), recorder.statuses(), notes_of(recorder), stored(workshop.store))
    result = again(workshop, lines, recorder)
    assert looks.asked == [("said\n", [], [], before)]
    assert result.built.manifest == expected.built.manifest
    assert kept_notes(result) == [FROM_EARLIER]
    assert len(looks.begun) == 1


def notes_of(recorder: Recorder) -> list[str]:
    return [text for text in (str(event) for event in recorder.events) if FROM_EARLIER in text]


@pytest.mark.parametrize("tracker", ["auto", "inotify", "scan"])
def test_what_was_done_on_an_altered_base_is_done_again(workshop: Workshop, looks: Looks, tracker: str) -> None:
    lines = "FROM base\nRUN cat /etc/group | tee /seen; ls /etc >/names; rm -r /etc/group\nRUN echo y >/y\n"
    expected = plain(workshop, lines)
    rewrite(kept_rootfs(workshop))
    before = stored(workshop.store)
    looks.watch = lambda: stored(workshop.store)
    result = workshop.build(lines, use_cache=False, build_args=EPOCH, tracker=tracker)
    assert looks.asked == [before]
    assert result.built.manifest == expected.built.manifest
    assert result.recorder.printed().count("root") == 2 * expected.recorder.printed().count("root")
    assert "APP" in result.recorder.printed()  # the test can fail
    (note,) = kept_notes(result)
    assert "such as /etc/group" in note
    assert notes(result).index(AGAIN) == notes(result).index(note) + 1
    assert notes(result).count(AGAIN) == 1
    assert result.recorder.statuses() == ["done", "done"]
    assert leftovers(workshop.store)[1:] == []  # what was dropped stays until its user has ended
    assert kept_notes(again(workshop, lines)) == [FROM_EARLIER]
    assert leftovers(workshop.store) == []


def test_it_is_said_why_where_another_build_is_faster_in_dropping_the_base(workshop: Workshop, looks: Looks) -> None:
    lines = "FROM base\nRUN cat /etc/group >/seen\n"
    expected = plain(workshop, lines)
    root = kept_rootfs(workshop)
    rewrite(root)
    looks.then = lambda: shutil.rmtree(root.parent)
    result = again(workshop, lines)
    assert result.built.manifest == expected.built.manifest
    (note,) = kept_notes(result)
    assert "such as /etc/group" in note


def test_a_run_that_fails_on_an_altered_base_alone_does_not_fail(workshop: Workshop, looks: Looks) -> None:
    lines = "FROM base\nRUN grep -q app /etc/group && echo x >/x\n"
    expected = plain(workshop, lines)
    rewrite(kept_rootfs(workshop))
    result = again(workshop, lines)
    assert result.built.manifest == expected.built.manifest
    assert notes(result).count(AGAIN) == 1


def test_a_run_that_cannot_even_begin_on_an_altered_base_does_not_fail(workshop: Workshop, looks: Looks) -> None:
    """No shell, no user, something else where a cached layer has a directory: each is the base's fault."""
    cached = "FROM base\nRUN mkdir -p /etc/deep && echo x >/etc/deep/x\n"
    lines = f"{cached}USER app\nRUN id -un >/tmp/me\n"
    expected = plain(workshop, lines)
    workshop.build(cached, build_args=EPOCH)
    (tree,) = trees(workshop.store)
    shutil.rmtree(tree / "rootfs/bin")
    shutil.rmtree(tree / "rootfs/etc")
    (tree / "rootfs/etc").write_text("no directory\n")
    result = workshop.build(lines, build_args=EPOCH)
    assert result.recorder.statuses() == ["cached", "done"]
    assert result.diff_ids() == expected.diff_ids()
    assert notes(result).count(AGAIN) == 1


def test_a_run_that_fails_by_itself_is_told_after_the_verdict(workshop: Workshop, looks: Looks) -> None:
    kept_rootfs(workshop)
    recorder = Recorder()
    looks.watch = recorder.statuses
    with pytest.raises(RunError, match="exit code: 7"):
        again(workshop, "FROM base\nRUN echo bye; exit 7\n", recorder)
    assert looks.asked == [[]]
    assert len(notes_of(recorder)) == 1
    assert recorder.printed() == "bye\n"


class LetsGo(Recorder):
    """Lets a look go on when so many RUNs have said something, and nobody else does."""

    def __init__(self, looks: Looks, runs: int = 1) -> None:
        super().__init__()
        self.looks = looks
        self.looks.go_when_asked = False
        self.runs = runs
        self.heard: set[int] = set()

    def emit(self, event: Event) -> None:
        super().emit(event)
        if isinstance(event, StepOutput):
            self.heard.add(event.number)
            if len(self.heard) == self.runs:
                self.looks.go.set()


def test_a_run_that_never_ends_on_an_altered_base_is_ended(workshop: Workshop, looks: Looks) -> None:
    lines = "FROM base\nRUN echo waiting; until grep -q app /etc/group; do sleep 0.01; done\n"
    expected = plain(workshop, lines)
    rewrite(kept_rootfs(workshop))
    result = again(workshop, lines, LetsGo(looks))
    assert result.built.manifest == expected.built.manifest
    assert result.recorder.printed() == "waiting\n" * 2
    assert result.recorder.statuses() == ["done"]


class Alters(Recorder):
    """Alters a base once, when it hears the first word of a RUN."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root: Path | None = root

    def emit(self, event: Event) -> None:
        super().emit(event)
        if isinstance(event, StepOutput) and self.root is not None:
            root, self.root = self.root, None
            rewrite(root)


def test_what_is_altered_while_a_run_is_under_way_is_found(workshop: Workshop, looks: Looks) -> None:
    """A look that was over before the RUN began would not see it. The RUN prints more than a pipe holds: so its first
    word was heard when it reads the base.
    """
    lines = "FROM base\nRUN head -c 1000000 /dev/zero; tee /seen </etc/group\n"
    expected = plain(workshop, lines)
    result = again(workshop, lines, Alters(kept_rootfs(workshop)))
    assert result.recorder.printed().count("APP") == expected.recorder.printed().count("app")  # the test can fail
    assert notes(result).count(AGAIN) == 1
    assert result.built.manifest == expected.built.manifest


STAGES = """FROM base AS one
RUN echo one; cat /etc/group >/one
FROM base AS two
RUN echo two; cat /etc/group /etc/group >/two
FROM scratch
COPY --from=one /one /
COPY --from=two /two /
"""


@pytest.mark.parametrize("altered", [False, True], ids=["whole", "altered"])
def test_stages_that_stand_on_one_base_share_the_look(workshop: Workshop, looks: Looks, altered: bool) -> None:
    expected = plain(workshop, STAGES)
    root = kept_rootfs(workshop)
    if altered:
        rewrite(root)
    result = again(workshop, STAGES, LetsGo(looks, runs=2), at_once=2)
    assert result.built.manifest == expected.built.manifest
    assert len(looks.begun) == 1
    assert len(looks.asked) == 1
    (note,) = kept_notes(result)
    assert (note == FROM_EARLIER) != altered
    assert notes(result).count(AGAIN) == (2 if altered else 0)


def test_what_is_read_for_keeps_waits(workshop: Workshop, looks: Looks) -> None:
    """Files of an image, by COPY and by a mount; a root file system with nothing but copies."""
    workshop.write("f")
    lines = (
        "FROM base AS files\nCOPY f /\nFROM scratch\nCOPY --from=base /etc/group /g\nCOPY --from=files /etc/group /h\n"
    )
    expected = plain(workshop, lines)
    rewrite(kept_rootfs(workshop))
    result = again(workshop, lines)
    assert result.built.manifest == expected.built.manifest
    assert result.text(result.layers[0], "g") == result.text(result.layers[1], "h")


def test_what_a_run_leaves_elsewhere_is_of_a_base_that_was_looked_at(workshop: Workshop, looks: Looks) -> None:
    """A cache outlives the build: what is in it cannot be taken back."""
    rewrite(kept_rootfs(workshop))
    recorder = Recorder()
    looks.watch = recorder.printed
    result = again(workshop, "FROM base\nRUN --mount=type=cache,target=/c cat /etc/group | tee -a /c/log\n", recorder)
    assert looks.asked == [""]
    assert "APP" not in recorder.printed()
    assert AGAIN not in notes(result)
    second = workshop.build("FROM base\nRUN --mount=type=cache,target=/c cat /c/log\n")
    assert second.recorder.printed() == recorder.printed()


@pytest.mark.parametrize("options", ["--mount=type=secret,id=s,required", "--mount=type=ssh", "--security=insecure"])
def test_what_is_lent_is_lent_to_a_base_that_was_looked_at(workshop: Workshop, looks: Looks, options: str) -> None:
    rewrite(kept_rootfs(workshop))
    recorder = Recorder()
    looks.watch = recorder.printed
    workshop.build(
        f"FROM base\nRUN {options} cat /etc/group\n",
        use_cache=False,
        recorder=recorder,
        lent=Lent(secrets={"s": b"x"}),
        sandbox=SandboxOptions(allowed=frozenset({SECURITY_INSECURE})),
    )
    assert looks.asked == [""]
    assert "APP" not in recorder.printed()


def test_a_command_of_run_begins_on_a_base_that_was_looked_at(workshop: Workshop) -> None:
    workshop.build("FROM base\nRUN true\n", names=(Reference.parse("app:1"),))
    (tree,) = trees(workshop.store)
    rewrite(tree / "rootfs")
    found = fswatch_builder("run", f"--store={workshop.store}", "app:1", "cat", "/etc/group")
    assert "app" in found.stdout
    assert trees(workshop.store) == [tree]


def test_a_build_that_does_nothing_on_its_base_does_not_look_at_it(workshop: Workshop, looks: Looks) -> None:
    rewrite(kept_rootfs(workshop))
    result = again(workshop, "FROM base\nLABEL a=b\n")
    assert looks.begun == []
    assert kept_notes(result) == []


def test_an_audit_takes_no_altered_state_for_the_one_before_the_step(workshop: Workshop, looks: Looks) -> None:
    lines = "FROM base\nRUN cat /etc/group >/seen\n"
    expected = plain(workshop, lines)
    rewrite(kept_rootfs(workshop))
    result = workshop.build(lines, use_cache=False, build_args=EPOCH, audit=True)
    assert result.built.manifest == expected.built.manifest
    assert notes(result).count(AGAIN) == 1


def test_after_a_boot_a_run_goes_on_while_all_is_read(workshop: Workshop, looks: Looks) -> None:
    lines = "FROM base\nRUN echo said; cat /etc/group >/seen\n"
    expected = plain(workshop, lines)
    kept_rootfs(workshop)
    of_another_boot(workshop.store)
    recorder = Recorder()
    looks.watch = recorder.printed
    result = again(workshop, lines, recorder)
    assert looks.asked == ["said\n"]
    assert result.built.manifest == expected.built.manifest


def test_a_look_that_takes_longer_than_its_run_is_told(
    workshop: Workshop, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_rootfs(workshop)
    monkeypatch.setattr(kept_bases, "_PATIENCE_S", 0)
    result = again(workshop, "FROM base\nRUN echo x >/x\n")
    told = [text for text in notes(result) if text in (WAITS, FROM_EARLIER)]
    assert told == [WAITS, FROM_EARLIER]


def test_what_goes_wrong_with_a_look_ends_the_build(workshop: Workshop, looks: Looks) -> None:
    kept_rootfs(workshop)
    before = stored(workshop.store)
    looks.error = OSError(errno.EIO, os.strerror(errno.EIO), b"etc/group")
    with pytest.raises(BuildError, match="/etc/group: Input/output error"):
        again(workshop, "FROM base\nRUN echo x >/x\n")
    assert stored(workshop.store) == before
    assert leftovers(workshop.store) == []
    assert [one for one in threading.enumerate() if one.name == "look at a kept tree"] == []


#: A build whose look at a kept base is held until the build shall end.
BUILDER = """
import sys, threading
from fswatch_builder.build import belief
from fswatch_builder.stopping import Stop
ending = threading.Event()
look, fault, end = belief.difference, belief.Look.fault, Stop.set
def held(tree, *, read_all, rootfs=None):
    ending.wait()
    return look(tree, read_all=read_all, rootfs=rootfs)
def asked(self):
    print(" waits", file=sys.stderr, flush=True)
    return fault(self)
def set(self):
    end(self)
    ending.set()
belief.difference, belief.Look.fault, Stop.set = held, asked, set
from fswatch_builder.cli.app import main
main()
"""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str)
@pytest.mark.parametrize(("command", "sign"), [("echo at work; sleep 1000", " at work\n"), ("echo x >/x", " waits\n")])
def test_a_signal_meanwhile_leaves_nothing(
    workshop: Workshop, sent: signal.Signals, status: int, command: str, sign: str
) -> None:
    root = kept_rootfs(workshop)
    before = stored(workshop.store)
    workshop.write("Dockerfile", f"FROM base\nRUN {command}\n")
    build = [
        *(sys.executable, "-c", BUILDER, "build", str(workshop.context), "--no-cache", "--progress", "plain"),
        *("--store", str(workshop.store), "--build-context", f"base={workshop.base}"),
    ]
    with subprocess.Popen(build, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        while not (line := process.stderr.readline()).endswith(sign):
            assert line, "it ended before"
        process.send_signal(sent)
        rest = process.stderr.read()
        assert process.wait(PATIENCE_S) == status, rest
    assert "CANCELED" in rest
    assert "Traceback" not in rest
    assert stored(workshop.store) == before
    assert leftovers(workshop.store) == []
    assert root.is_dir()
    with Store.open(str(workshop.store)) as store:
        assert store.state.rows("SELECT * FROM leases") == []
