"""Other builders: programs on PATH that only pretend, and what they print."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fswatch_builder.errors import UsageError
from fswatch_builder.research.peers import registry
from fswatch_builder.research.peers.buildah import Buildah
from fswatch_builder.research.peers.clocks import buildah_runs, buildkit_runs, kaniko_runs
from fswatch_builder.research.peers.dockerd import BuildKitInDocker
from fswatch_builder.research.peers.kaniko import Kaniko
from fswatch_builder.research.peers.measuring import Line, OutOfTimeError, PeerError, measure, said
from fswatch_builder.research.peers.own_log import environment
from fswatch_builder.research.peers.peer import BASE, Job

BUILDAH = """#!/bin/sh
echo "$@" >> "$CALLS"
case " $* " in
    " --version ") echo "buildah version 9.9" ;;
    *" build "*) echo "STEP 1/2: FROM base"; echo "STEP 2/2: RUN true"; echo "STEP 3: no step"; echo "COMMIT out" ;;
    *" push "*) for last do :; done; echo image > "${last#oci-archive:}" ;;
esac
"""


@pytest.fixture
def bin_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return place


def program(place: Path, name: str, text: str) -> None:
    (place / name).write_text(text)
    (place / name).chmod(0o755)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "context").mkdir()
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nRUN true\n")
    return Job(str(tmp_path / "context"), str(tmp_path / "Dockerfile"), "goal", ("A=1",))


def test_buildah_is_asked_for_all_of_a_build_and_nothing_of_the_users_is_touched(
    tmp_path: Path, bin_directory: Path, job: Job
) -> None:
    program(bin_directory, "buildah", BUILDAH)
    peer = Buildah()
    assert (peer.missing(), peer.version()) == (None, "buildah version 9.9")
    work = tmp_path / "work"
    work.mkdir()
    peer.prepare({BASE: "/base.tar"}, str(work))
    built = peer.build(job)
    assert len(built.runs) == 1
    peer.export(job, str(tmp_path / "out"), fresh=False)
    assert (tmp_path / "out").read_text() == "image\n"
    peer.close()
    calls = (tmp_path / "calls").read_text().splitlines()[1:]
    own = f"--root {work}/root --runroot {work}/run --storage-driver overlay "
    assert all(call.startswith(own) for call in calls)
    assert [call.removeprefix(own).split()[0] for call in calls] == ["pull", "build", "build", "push", "rm", "rmi"]
    assert "--no-cache" in calls[1]
    assert "--no-cache" not in calls[2]
    assert calls[1].endswith(f"--build-arg A=1 --target goal -t localhost/bench-out -f {job.dockerfile} {job.context}")


def test_a_builder_that_fails_says_how(tmp_path: Path, bin_directory: Path, job: Job) -> None:
    program(bin_directory, "buildah", "#!/bin/sh\ncase \"$*\" in *' pull '*) ;; *) echo no room >&2; exit 3 ;; esac\n")
    peer = Buildah()
    peer.prepare({BASE: "/base.tar"}, str(tmp_path))
    with pytest.raises(PeerError, match="buildah ended with status 3:\nno room") as caught:
        peer.build(job)
    assert caught.value.status == 3


@pytest.mark.parametrize(
    ("version", "plugin", "says"),
    [("20.10.24+dfsg1", 1, None), ("28.2.2", 0, None), ("28.2.2", 1, "plug-in buildx, which is not installed")],
)
def test_a_docker_that_cannot_build_by_itself_is_absent_unless_it_has_its_plug_in(
    bin_directory: Path, version: str, plugin: int, says: str | None
) -> None:
    client = f'#!/bin/sh\n[ "$1" != buildx ] || exit {plugin}\necho "Docker version {version}, build 5"\n'
    for name in ("docker", "dockerd"):
        program(bin_directory, name, client)
    missing = BuildKitInDocker().missing()
    assert missing is None if says is None else says in str(missing)


def test_auto_takes_who_is_there_and_lists_the_rest(bin_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bin_directory))
    program(bin_directory, "buildah", BUILDAH)
    here, absent = registry.chosen("auto")
    assert [peer.name for peer in here] == ["buildah"]
    assert [one.name for one in absent] == ["BuildKit", "BuildKit (dockerd)", "kaniko full", "kaniko redo"]
    assert all("on PATH" in one.reason for one in absent)
    assert registry.chosen("none") == ([], [])


@pytest.mark.parametrize(
    ("asked", "says"), [("kaniko", "neither kaniko"), ("docker", "no builder 'docker'"), ("", "''")]
)
def test_one_that_was_asked_for_by_name_has_to_be_there(
    bin_directory: Path, monkeypatch: pytest.MonkeyPatch, asked: str, says: str
) -> None:
    monkeypatch.setenv("PATH", str(bin_directory))
    with pytest.raises(UsageError, match=says):
        registry.chosen(asked)


def test_kaniko_may_be_told_where_it_is_and_says_what_else_it_needs(
    bin_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(bin_directory))
    assert "docker-registry and skopeo" in (Kaniko("full", "/executor").missing() or "")


def lines(text: str) -> list[Line]:
    """Each line a second after the one before."""
    return [Line(float(number), line) for number, line in enumerate(text.strip().splitlines())]


def test_buildah_tells_when_a_step_begins() -> None:
    told = """
[1/2] STEP 1/3: FROM base AS one
[1/2] STEP 2/3: RUN make
output
[1/2] STEP 3/3: COPY a b
--> 1234
[2/2] STEP 1/2: FROM base
[2/2] STEP 2/2: RUN STEP 1/2
STEP
[2/2] COMMIT out
"""
    assert buildah_runs(lines(told)) == (2.0, 2.0)


def test_kaniko_tells_when_an_instruction_begins() -> None:
    told = """
time="T" level=info msg="Unpacking rootfs as cmd RUN echo requires it."
time="T" level=info msg="RUN echo > /f"
time="T" level=info msg="Running: [/bin/sh -c echo]"
RUN
time="T" level=info msg="Taking snapshot of full filesystem..."
time="T" level=info msg="RUN true"
time="T" level=info msg="No files were changed, appending empty layer to config. No layer added to image."
time="T" level=info msg="Skipping push to container registry due to --no-push flag"
"""
    assert kaniko_runs(lines(told)) == (4.0, 2.0)


def test_buildkit_tells_what_a_step_took_whatever_the_order() -> None:
    told = """
#1 [internal] load build definition from Dockerfile
#1 DONE 0.1s
#4 [1/3] FROM localhost/bench-base
#4 DONE 0.7s
#5 [one 2/3] RUN make
#6 [two 2/2] RUN other
#6 DONE 0.3s
#5 0.201 DONE 5.0s
#5 DONE 1.2s
"""
    assert buildkit_runs(lines(told)) == (1.2, 0.3)


def test_the_memory_of_a_command_is_not_that_of_who_measures_it(tmp_path: Path) -> None:
    held = bytearray(64 << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    cost = measure(["true"], log=str(tmp_path / "log"))
    assert 0 < cost.peak_kib < 32 << 10
    cost = measure([sys.executable, "-c", "x = b'1' * (80 << 20)"], log=str(tmp_path / "log"))
    assert cost.peak_kib > 80 << 10
    assert cost.cpu_s > 0


def test_what_was_printed_is_kept_with_its_time_whatever_it_is(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    cost = measure(["sh", "-c", "printf 'a\\n\\377\\nlast'"], log=log)
    assert [line.text for line in said(log)] == ["a", "\ufffd", "last"]
    assert all(0 <= line.seconds <= cost.seconds for line in said(log))


def test_a_command_that_takes_too_long_is_ended_and_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OutOfTimeError):
        measure(["sh", "-c", f"exec cat < {fifo}"], log=str(tmp_path / "log"), within=0.5)
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(fifo) not in running


def test_options_in_the_environment_say_what_is_built_and_not_where_to() -> None:
    given = {"PATH": "p", "FSWATCH_BUILDER_SECRET": "s", "FSWATCH_BUILDER_OUTPUT": "o", "FSWATCH_BUILDER_TRACKER": "t"}
    given["PYTHONDONTWRITEBYTECODE"] = "1"  # it would be measured, too: users have their modules compiled
    assert environment(given) == {"PATH": "p", "FSWATCH_BUILDER_SECRET": "s"}
