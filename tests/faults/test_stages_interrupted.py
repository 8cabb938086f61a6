"""Several stages are under way when one fails or a signal comes: nothing of them is left."""

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop
from tests.support.cli import fswatch_builder
from tests.support.overlays import OVERLAY
from tests.support.rootfs import busybox_rootfs

pytestmark = pytest.mark.root

TRACKERS = ("auto", "fanotify", "inotify", OVERLAY, "scan")


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    (tmp_path / "context").mkdir()
    busybox_rootfs(str(tmp_path / "base"))
    return Workshop(tmp_path / "context", tmp_path / "store", tmp_path / "base")


#: Three that go on until they are ended, each with a process in the background that writes; what they sleep tells them
#: from the sleeps of others.
LENGTH = f"600{os.getpid()}"
WRITES = f"(while :; do echo x >>/log; done) & echo $NAME >/here; echo at work; sleep {LENGTH}"
LOCKED = "--mount=type=cache,id=c,target=/c,sharing=locked"
STAGES = f"""FROM base AS a
ENV NAME=a
RUN {WRITES}
FROM base AS b
ENV NAME=b
RUN {LOCKED} {WRITES}
FROM base AS c
ENV NAME=c
RUN --mount=from=base,target=/m,rw {WRITES}
FROM base AS waits
RUN {LOCKED} touch /never
FROM scratch
COPY --from=a /here /a
COPY --from=b /here /b
COPY --from=c /here /c
COPY --from=waits /never /
"""


def started(workshop: Workshop, text: str, *arguments: str) -> "subprocess.Popen[str]":
    workshop.write("Dockerfile", text)
    command = [
        sys.executable, "-m", "fswatch_builder", "build", "--progress=plain", "--max-parallelism=5",
        f"--store={workshop.store}", f"--build-context=base={workshop.base}", *arguments, str(workshop.context),
    ]  # fmt: skip
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def read_until(process: "subprocess.Popen[str]", times: int, pattern: str) -> str:
    """What it prints up to the line that makes so many that match."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        times -= bool(re.search(pattern, line))
        if not times:
            return "".join(lines)
    raise AssertionError(f"it ended with {process.wait()}: {''.join(lines)}")


def sleepers() -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path("/proc", name, "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if LENGTH.encode() in command and b"sleep" in command:
            found.append(name)
    return found


def assert_nothing_is_left(workshop: Workshop) -> None:
    assert sleepers() == []
    assert [name for name in os.listdir(workshop.store / "work") if name != ".lock"] == []
    assert list(workshop.store.glob("sessions/*")) == []
    assert str(workshop.store) not in Path("/proc/self/mountinfo").read_text()
    with Store.open(str(workshop.store)) as store:
        assert store.state.rows("SELECT * FROM leases") == []
    done = fswatch_builder("prune", "--verify", "-f", f"--store={workshop.store}")
    assert "damaged" not in done.stdout + done.stderr


END = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}


@pytest.mark.parametrize(
    ("sent", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=str,
)
def test_a_signal_ends_all_stages(workshop: Workshop, sent: signal.Signals, status: int) -> None:
    process = started(workshop, STAGES)
    read_until(process, 3, " at work$")
    process.send_signal(sent)
    assert process.stderr is not None
    rest = process.stderr.read()
    assert process.wait(60) == status
    process.stderr.close()
    assert len(re.findall(r"^#\d+ CANCELED", rest, re.MULTILINE)) >= 3
    assert rest.splitlines()[-1] == f"ERROR: {END[sent]}"
    assert_nothing_is_left(workshop)


def test_ctrl_c_again_and_again_changes_nothing(workshop: Workshop) -> None:
    process = started(workshop, STAGES)
    read_until(process, 3, " at work$")
    for _ in range(20):
        process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    rest = process.stderr.read()
    assert process.wait(60) == 130
    process.stderr.close()
    assert "Traceback" not in rest
    assert sleepers() == []


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_stage_that_fails_ends_the_others_and_is_what_is_told(workshop: Workshop, tracker: str) -> None:
    """It fails when all the others are at work, and says so through a cache."""
    text = STAGES.replace("echo at work", "echo at work; touch /meet/$NAME")
    text = re.sub(r"^RUN (?=.*sleep)", "RUN --mount=type=cache,id=meet,target=/meet ", text, flags=re.MULTILINE)
    wait = "until test -e /meet/a -a -e /meet/b -a -e /meet/c; do sleep 0.02; done"
    fails = f"FROM base AS fails\nRUN --mount=type=cache,id=meet,target=/meet {wait}; echo bye; exit 7\n"
    process = started(workshop, f"{fails}{text}COPY --from=fails /etc /etc\n", f"--tracker={tracker}")
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(60) == 1
    process.stderr.close()
    message = said[said.index("last lines of its output:") :]
    assert "  | bye" in message
    assert "exit code: 7" in message
    assert "Dockerfile:2" in message
    assert len(re.findall(r"^#\d+ ERROR", said, re.MULTILINE)) == 1
    assert len(re.findall(r"^#\d+ CANCELED", said, re.MULTILINE)) >= 3
    assert_nothing_is_left(workshop)


def test_a_builder_that_is_killed_takes_all_runs_along(workshop: Workshop) -> None:
    process = started(workshop, STAGES)
    read_until(process, 3, " at work$")
    running = [os.pidfd_open(int(name)) for name in sleepers()]
    assert len(running) >= 3
    process.kill()
    process.wait()
    assert process.stderr is not None
    process.stderr.close()
    for pidfd in running:
        assert select.select([pidfd], [], [], 20)[0] == [pidfd]
        os.close(pidfd)
    fswatch_builder("images", f"--store={workshop.store}")  # sweeps
    assert [name for name in os.listdir(workshop.store / "work") if name != ".lock"] == []
