"""The program itself: exit statuses, signals, files it writes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.builds import Workshop

pytestmark = pytest.mark.root


def command(workshop: Workshop, *arguments: str) -> list[str]:
    return [
        sys.executable,
        "-c",
        "from fswatch_builder.cli.app import main; main()",
        "build",
        str(workshop.context),
        f"--store={workshop.store}",
        f"--build-context=base={workshop.base}",
        "--progress=plain",
        *arguments,
    ]


def run(workshop: Workshop, dockerfile: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    workshop.write("Dockerfile", dockerfile)
    return subprocess.run(command(workshop, *arguments), capture_output=True, text=True, check=False, timeout=60)


def leftovers(workshop: Workshop) -> list[str]:
    return [name for name in os.listdir(workshop.store / "work") if not name.startswith(".")]


@pytest.mark.parametrize(
    ("dockerfile", "arguments", "status", "said"),
    [
        ("FROM base\nRUN echo bye; exit 7\n", [], 1, "exit code: 7"),
        ("FROM base\n", ["--target=x"], 2, 'target stage "x" could not be found'),
        ("FROM base\n", ["--nonsense"], 2, "nonsense"),
        ("FROM base\n", ["--tracker=nope"], 2, "--tracker nope: want auto, inotify or scan"),
        ("FROM base\n", ["--platform=foo"], 2, "unknown operating system or architecture"),
        ("FROM base\nRAN true\n", [], 3, "RAN"),
        ("FROM base\nCOPY no /\n", [], 4, '"/no": not found'),
        ("FROM oci-layout:///nowhere\n", [], 5, "nowhere"),
        ("FROM base\n", ["--output=type=oci,dest=/no/such/directory/x"], 9, "/no/such/directory"),
        ("FROM base\n", ["--store=/proc/store"], 10, "/proc/store"),
    ],
)
def test_every_failure_has_its_status_and_one_message(
    workshop: Workshop, dockerfile: str, arguments: list[str], status: int, said: str
) -> None:
    done = run(workshop, dockerfile, *arguments)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    if status == 1:
        assert "  | bye" in done.stderr
        assert "Dockerfile:2" in done.stderr
        assert "   2 | RUN echo bye; exit 7" in done.stderr


def test_the_result_is_written_where_it_was_asked_for(workshop: Workshop, tmp_path: Path) -> None:
    files = [
        f"--iidfile={tmp_path}/iid",
        f"--metadata-file={tmp_path}/meta",
        f"--output=type=oci,dest={tmp_path}/x,tar=false",
    ]
    done = run(workshop, "FROM base\nCMD x\n", "-t", "a:1", "--label=k=v", *files)
    assert done.returncode == 0, done.stderr
    meta = json.loads((tmp_path / "meta").read_text())
    assert (tmp_path / "iid").read_text() == meta["containerimage.config.digest"]
    assert meta["image.name"] == "docker.io/library/a:1"
    assert meta["containerimage.digest"] in done.stdout
    assert (tmp_path / "x/index.json").exists()
    config = tmp_path / "x/blobs/sha256" / meta["containerimage.config.digest"].removeprefix("sha256:")
    assert json.loads(config.read_text())["config"]["Labels"] == {"k": "v"}


def test_quiet_prints_the_image_id_alone(workshop: Workshop) -> None:
    done = run(workshop, "FROM base\nRUN echo loud\n", "-q")
    assert done.stderr == ""
    assert done.stdout.startswith("sha256:")
    assert len(done.stdout.splitlines()) == 1


def test_options_come_from_the_environment_too(workshop: Workshop) -> None:
    workshop.write("Dockerfile", "FROM base\nARG A\nRUN echo $A >/f\nLABEL a=$A\n")
    env = {**os.environ, "FSWATCH_BUILDER_BUILD_ARG": "A=1", "FSWATCH_BUILDER_TAG": "x:1 y:2"}
    done = subprocess.run(command(workshop), env=env, capture_output=True, text=True, check=True)
    assert "names     x:1, y:2" in done.stdout


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_kills_its_run_and_leaves_nothing(
    workshop: Workshop, sent: signal.Signals, status: int
) -> None:
    workshop.write("Dockerfile", "FROM base\nRUN echo started; sleep 600 & sleep 600\n")
    process = subprocess.Popen(command(workshop), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith(" started\n"):
            break
    process.send_signal(sent)
    rest = process.stderr.read()
    assert process.wait(30) == status
    assert "Traceback" not in rest
    process.stderr.close()
    assert leftovers(workshop) == []


def test_a_reader_that_goes_away_does_not_end_the_build(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write("Dockerfile", "FROM base\nRUN seq 100000\nRUN echo x >/f\n")
    process = subprocess.Popen(
        command(workshop, f"--iidfile={tmp_path}/iid"), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stderr is not None
    process.stderr.read(10)
    process.stderr.close()
    assert process.wait(60) == 0
    assert (tmp_path / "iid").exists()


def test_a_failed_build_writes_no_file(workshop: Workshop, tmp_path: Path) -> None:
    done = run(workshop, "FROM base\nRUN false\n", f"--iidfile={tmp_path}/iid", f"--output=type=oci,dest={tmp_path}/x")
    assert done.returncode == 1
    assert set(os.listdir(tmp_path)) == {"context", "store"}


def test_a_cached_build_of_twenty_steps_is_fast_and_loads_little(workshop: Workshop) -> None:
    lines = "".join(f"RUN echo {n} >/f{n}\n" for n in range(20))
    assert run(workshop, f"FROM base\n{lines}").returncode == 0
    best = 10.0
    for _ in range(3):
        started = time.monotonic()
        assert run(workshop, f"FROM base\n{lines}").returncode == 0
        best = min(best, time.monotonic() - started)
    assert best < 1.5  # on a quiet machine 0.2: benchmarks/ measures that
    script = (
        "import sys\nsys.argv = ['fswatch-builder', *sys.argv[1:]]\nfrom fswatch_builder.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([n for n in ('httpx', 'psutil', 'rich', 'zstandard', 'isal', 'inotify_simple', "
        "'fswatch_builder.build.executor') if n in sys.modules])"
    )
    arguments = command(workshop)[3:]
    done = subprocess.run([sys.executable, "-c", script, *arguments, "-q"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
