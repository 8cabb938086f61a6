"""No hard link is made unseen, whatever way it is made, and the command does not notice."""

import errno
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from fswatch_builder._native import probe_link_witness
from fswatch_builder.runtime.command import CommandOutcome, run_command
from tests.support import links


def attempt(*argv: str | Path, cwd: Path | None = None) -> CommandOutcome:
    command = [os.fsencode(word) for word in argv]
    return run_command(command, cwd=None if cwd is None else os.fsencode(cwd), witness=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_text("content\n")
    return file


@pytest.mark.parametrize("way", sorted(set(links.WAYS) - {"io_uring"}))
def test_every_way_to_make_a_link_is_seen_and_works(way: str, file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    new = file.with_name("new")
    outcome = attempt(sys.executable, links.__file__, way, file, new)
    assert (outcome.exit_status, outcome.links_made) == (0, 1)
    said = int(capfd.readouterr().out)
    if way == "x32" and said == errno.ENOSYS:
        pytest.skip("this kernel has no x32 (the call was seen all the same)")
    assert said == 0
    assert new.exists()


def test_a_ring_that_links_without_a_call_works_and_leaves_the_number_unknown(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = attempt(sys.executable, links.__file__, "io_uring", file, file.with_name("new"))
    assert outcome.exit_status == 0
    said = int(capfd.readouterr().out)
    if said in (errno.EPERM, errno.ENOSYS):
        pytest.skip("io_uring is switched off here")
    assert (said, outcome.links_made) == (0, None)
    assert file.stat().st_nlink == 2


def test_commands_that_make_no_link_made_none(file: Path) -> None:
    script = "cp file other; mv other third; ln -s file symlink; mkdir d; rm third; cat file >d/f; chmod 600 d/f"
    assert attempt("sh", "-ec", script, cwd=file.parent).links_made == 0


def test_a_link_that_fails_fails_as_ever_and_is_counted(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = attempt(sys.executable, links.__file__, "link", file.with_name("missing"), file.with_name("new"))
    assert int(capfd.readouterr().out) == errno.ENOENT
    assert outcome.links_made == 1


def test_links_of_many_processes_at_once_are_all_counted(file: Path) -> None:
    one = "i=0; while [ $i -lt 20 ]; do ln file $1.$i && rm $1.$i; i=$((i+1)); done"
    script = f"for n in 1 2 3 4 5 6 7 8 9 10; do sh -ec '{one}' sh $n & done; wait"
    outcome = attempt("sh", "-ec", script, cwd=file.parent)
    assert (outcome.exit_status, outcome.links_made) == (0, 200)
    assert os.listdir(file.parent) == ["file"]


def test_links_of_a_process_left_behind_are_counted(file: Path) -> None:
    script = "(while kill -0 $$ 2>/dev/null; do :; done; ln file new) & exit 0"
    outcome = attempt("sh", "-c", script, cwd=file.parent)
    assert (outcome.links_made, outcome.survivors >= 1) == (1, True)


def test_under_another_listener_nobody_can_tell_and_the_command_runs_all_the_same(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = (
        "import sys\n"
        "from fswatch_builder._native import probe_link_witness\n"
        "from fswatch_builder.runtime.command import run_command\n"
        "try:\n"
        "    probe_link_witness()\n"
        "except OSError as error:\n"
        "    print(error.errno, error.operation)\n"
        "print(run_command([b'ln', b'file', b'new'], witness=True).links_made, flush=True)\n"
    )
    outcome = attempt(sys.executable, "-c", program, cwd=file.parent)
    assert (outcome.exit_status, outcome.links_made) == (0, 1)
    assert capfd.readouterr().out == f"{errno.EBUSY} seccomp\nNone\n"
    assert file.stat().st_nlink == 2


def test_asking_whether_it_works_binds_nobody() -> None:
    probe_link_witness()
    probe_link_witness()
    with open("/proc/thread-self/status") as status:
        assert "Seccomp:\t0" in status.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_SYS_ADMIN, or to be somebody else")
def test_no_new_privs_is_the_price_of_an_ordinary_user_alone(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "import os, sys\n"
        "from fswatch_builder.runtime.command import run_command\n"
        "os.setuid(int(sys.argv[1]))\n"
        "print(run_command([b'grep', b'NoNewPrivs', b'/proc/self/status'], witness=True).links_made, flush=True)\n"
        "print(run_command([b'grep', b'NoNewPrivs', b'/proc/self/status'], witness=False).links_made)\n"
    )
    for uid, price in (("0", 0), ("65534", 1)):
        subprocess.run([sys.executable, "-c", program, uid], check=True)
        said = capfd.readouterr().out.split()
        assert said == ["NoNewPrivs:", str(price), "0", "NoNewPrivs:", "0", "None"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="strace's own call numbers")
@pytest.mark.skipif(not os.path.exists("/usr/bin/strace"), reason="needs strace")
def test_a_tracer_of_system_calls_sees_links_as_ever(file: Path) -> None:
    trace = file.with_name("trace")
    outcome = attempt("strace", "-f", "-o", trace, "-e", "trace=link,linkat", "ln", file, file.with_name("new"))
    assert (outcome.exit_status, outcome.links_made) == (0, 1)
    assert "= 0" in trace.read_text()
