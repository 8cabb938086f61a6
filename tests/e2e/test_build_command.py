"""The program itself: exit statuses, signals, files it writes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.support.builds import Workshop
from tests.support.registry import need
from tests.support.rootfs import BUSYBOX

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
        ("FROM base\n", ["--tracker=nope"], 2, "--tracker nope: want auto, fanotify, inotify, overlay or scan"),
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


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
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


def test_a_cached_build_of_twenty_steps_loads_little(workshop: Workshop) -> None:
    lines = "".join(f"RUN echo {n} >/f{n}\n" for n in range(20))
    assert run(workshop, f"FROM base\n{lines}").returncode == 0
    script = (
        "import sys\nsys.argv = ['fswatch-builder', *sys.argv[1:]]\nfrom fswatch_builder.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([n for n in ('httpx', 'psutil', 'rich', 'zstandard', 'isal', 'inotify_simple', "
        "'fswatch_builder.build.executor') if n in sys.modules])"
    )
    arguments = command(workshop)[3:]
    done = subprocess.run([sys.executable, "-c", script, *arguments, "-q"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_k1_a_large_file_takes_no_more_memory_than_a_small_one(workshop: Workshop) -> None:
    workshop.write("Dockerfile", "FROM base\nCOPY f /f\nRUN cp /f /g\n")
    script = (
        "from fswatch_builder.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    )

    def peak(size: int) -> int:
        os.truncate(workshop.write("f"), size)
        arguments = [sys.executable, "-c", script, *command(workshop)[3:], "-q"]
        return int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()[-1])

    small = peak(1)
    assert peak(256 << 20) - small < 64 << 10  # KiB


def test_a_dockerfile_from_standard_input_shows_its_lines_in_errors(workshop: Workshop) -> None:
    workshop.write("f", "text")
    workshop.write("Dockerfile", "FROM nowhere\n")
    workshop.write(".dockerignore", "Dockerfile\n")

    def build(text: str) -> subprocess.CompletedProcess[str]:
        arguments = command(workshop, "--file=-")
        return subprocess.run(arguments, input=text, capture_output=True, text=True, check=False, timeout=60)

    done = build("FROM base\nCOPY . /here/\nRUN ls /here\n")
    assert done.returncode == 0, done.stderr
    assert " f\n" in done.stderr
    assert " Dockerfile\n" not in done.stderr
    done = build("FROM base\nRUN echo \\\n  x; exit 3\n")
    assert done.returncode == 1
    assert "  at stdin:2-3\n     2 | RUN echo \\\n       | ^\n     3 |   x; exit 3\n" in done.stderr
    done = build("FROM base\nFOO\n")
    assert done.returncode == 3
    assert "     2 | FOO\n" in done.stderr


def test_the_choice_of_the_tracker_is_explained_once_and_short_steps_have_a_time(workshop: Workshop) -> None:
    lines = "FROM base\nRUN echo 1 >/1\nRUN echo 2 >/2\nFROM base\nRUN echo 3 >/3\n"
    # By name, for `auto` goes by the size of the tree too.
    done = run(workshop, lines, "--no-kept-bases", "--tracker=fanotify")
    assert done.stderr.count("note: changes are found by fanotify: one mark covers the file system") == 1
    assert "DONE 0.0s" not in done.stderr
    assert "DONE 0ms" not in done.stderr


def test_a_small_tree_is_scanned_until_it_has_grown(workshop: Workshop, tmp_path: Path) -> None:
    """By what watching costs; the layers are those of any other tracker."""
    small = tmp_path / "small"
    (small / "bin").mkdir(parents=True)
    shutil.copy(os.fsdecode(BUSYBOX), small / "bin" / "sh")
    files = "i=0; while [ $i -lt 3000 ]; do echo $i >/f$i; i=$((i + 1)); done"
    lines = f"FROM small\nRUN echo 1 >/1\nRUN {files}\nRUN echo 2 >/2; read x </f7; echo more >>/f7\n"
    options = ("--no-kept-bases", f"--build-context=small={small}")
    done = run(workshop, lines, *options)
    notes = [line.split("note: changes are found by ")[1] for line in done.stderr.splitlines() if "found by" in line]
    assert [note.split(" ")[0].rstrip(":") for note in notes] == ["scan", "fanotify"]
    assert "fanotify: to look at all 2 entries once takes less than to watch them" in notes[0]
    watched = [line for line in done.stderr.splitlines() if "tracker fanotify" in line]
    assert len(watched) == 1
    fixed = (*options, "--no-cache", "--timestamp=1", "--progress=quiet")
    image = run(workshop, lines, *fixed).stdout
    assert image == run(workshop, lines, *fixed, "--tracker=scan").stdout != ""


def test_warnings_about_variables_and_unused_build_arguments(workshop: Workshop) -> None:
    done = run(workshop, "FROM base\nARG A\nENV x=$A$TYPO\n", "--build-arg=A=1", "--build-arg=B=1", "-q")
    warned = [line for line in done.stderr.splitlines() if line.startswith("WARN: ")]
    assert len(warned) == 2
    assert warned[0].startswith("WARN: UndefinedVar: Usage of undefined variable '$TYPO' (")
    assert warned[1] == "WARN: One or more build-args [B] were not consumed"


def test_ctrl_c_ends_an_unpacking_at_once(workshop: Workshop, tmp_path: Path) -> None:
    base = tmp_path / "large.tar"
    with tarfile.open(base, "w") as tar:
        for number in range(40_000):
            tar.addfile(tarfile.TarInfo(f"etc/{number}"))
    workshop.write("Dockerfile", "FROM large\nRUN true\n")
    arguments = command(workshop, f"--build-context=large={base}")
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if " RUN true" in line:
            break
    unpacked = workshop.store / "work"
    while not [*unpacked.glob("*/rootfs/etc/1"), *unpacked.glob("*/tree/rootfs/etc/1")]:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 130
    assert rest.endswith("ERROR: interrupted\n")
    assert "note:" not in rest  # it never came to the tracker
    assert leftovers(workshop) == []


def test_a_missing_layer_is_told_as_such(workshop: Workshop) -> None:
    assert run(workshop, "FROM base\nCOPY Dockerfile /d\n", "-t=mine").returncode == 0
    blobs = sorted((workshop.store / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    blobs[-1].unlink()
    done = run(workshop, "FROM mine\nRUN true\n")
    assert done.returncode == 10
    assert "is missing" in done.stderr
    assert "hint: load or pull the image again" in done.stderr


def test_damage_in_the_store_never_leaves_it(workshop: Workshop, tmp_path: Path) -> None:
    assert run(workshop, "FROM base\n", "-t=mine").returncode == 0
    blobs = sorted((workshop.store / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    content = bytearray(blobs[-1].read_bytes())
    content[len(content) // 2] ^= 1
    blobs[-1].write_bytes(content)
    for output in (f"type=oci,dest={tmp_path}/x.tar", f"type=oci,dest={tmp_path}/x,tar=false"):
        done = run(workshop, "FROM mine\n", f"--output={output}")
        assert done.returncode == 10, done.stderr
        assert "is damaged" in done.stderr
    done = run(workshop, "FROM mine\nRUN true\n")
    assert done.returncode == 5
    assert "Dockerfile:1" in done.stderr  # it is the base that is wrong, not the RUN
    assert set(os.listdir(tmp_path)) == {"context", "store"}


@pytest.mark.parametrize("output", ["type=oci,dest={}/x.tar", "type=oci,dest={}/x,tar=false", "type=docker,dest={}/x"])
def test_a_full_disk_leaves_no_half_output(workshop: Workshop, tmp_path: Path, output: str) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=True)
    try:
        done = run(workshop, "FROM base\n", f"--output={output.format(small)}")
        assert done.returncode == 9
        assert "No space left on device" in done.stderr
        assert "hint: free some space" in done.stderr
        assert os.listdir(small) == []
        done = run(workshop, "FROM base\nRUN true\n", f"--store={small}/store")
        assert done.returncode == 9
        assert "No space left on device" in done.stderr
        assert [name for name in os.listdir(small / "store/work") if not name.startswith(".")] == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_build_from_the_cache_touches_no_root_file_system(workshop: Workshop, tmp_path: Path) -> None:
    need("strace")
    workshop.write("f")
    text = "FROM base\nRUN echo x >/x\nCOPY f /f\nWORKDIR /w\nFROM base\nCOPY --from=0 /x /y\n"
    assert run(workshop, text).returncode == 0
    trace = tmp_path / "trace"
    calls = "mount,umount2,pivot_root,unshare,clone,clone3,vfork,execve,mkdir,mkdirat"
    traced = ["strace", "-f", "-qq", "-o", str(trace), f"--trace={calls}", *command(workshop)]
    done = subprocess.run(traced, capture_output=True, text=True, check=True)
    assert done.stderr.count("CACHED") == 4
    seen = trace.read_text()
    assert seen.count("execve(") == 1  # the program itself
    for call in ("mount(", "umount2(", "pivot_root(", "unshare(", "CLONE_NEW", "rootfs"):
        assert call not in seen


def test_a_parent_that_ignores_the_end_of_children_is_no_reason_to_lose_ours(workshop: Workshop) -> None:
    workshop.write("Dockerfile", "FROM base\nRUN true\n")
    done = subprocess.run(
        [sys.executable, "-m", "fswatch_builder", *command(workshop)[3:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    assert done.returncode == 0, done.stderr
