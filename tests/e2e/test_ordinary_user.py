"""What a user who is not root meets: what works works, and the rest has its cause and its cure at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builds import Workshop

pytestmark = pytest.mark.root  # to become somebody else

NOBODY = 54321
#: A user without rights over anything, but for reading: the interpreter may lie in root's home.
_BECOME = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
_MAY_READ = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]


@pytest.fixture
def home(workshop: Workshop, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    return home


def as_user(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "FSWATCH_"))}
    return subprocess.run(
        [*_BECOME, *_MAY_READ, sys.executable, "-m", "fswatch_builder", *arguments],
        env={**env, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_build_that_touches_no_file_works_and_fills_the_user_s_own_store(workshop: Workshop, home: Path) -> None:
    workshop.write("Dockerfile", "FROM base\nENV a=b\nCMD x\n")
    done = as_user(home, "build", f"--build-context=base={workshop.base}", "-t", "mine", str(workshop.context))
    assert done.returncode == 0, done.stderr
    assert str(home / ".local/share/fswatch-builder") in done.stdout
    assert "mine:latest" in as_user(home, "images").stdout


@pytest.mark.parametrize("line", ["RUN echo x >/f", "COPY Dockerfile /d", "ADD Dockerfile /d", "WORKDIR /w"])
def test_a_step_on_the_root_file_system_is_refused_at_once_with_cause_and_cure(
    workshop: Workshop, home: Path, line: str
) -> None:
    workshop.write("Dockerfile", f"FROM base\n{line}\n")
    done = as_user(home, "build", f"--build-context=base={workshop.base}", str(workshop.context))
    assert done.returncode == 8, done.stderr
    assert "ordinary user" in done.stderr
    assert "  hint: run the build as root" in done.stderr
    assert "Dockerfile:2" in done.stderr
    assert f"   2 | {line}" in done.stderr
    assert "Traceback" not in done.stderr
    assert [name for name in os.listdir(home / ".local/share/fswatch-builder/work") if name != ".lock"] == []


def test_somebody_else_s_store_is_refused_with_a_way_out(workshop: Workshop, home: Path) -> None:
    workshop.store.mkdir(mode=0o700, exist_ok=True)
    workshop.write("Dockerfile", "FROM scratch\n")
    done = as_user(home, "build", f"--store={workshop.store}", str(workshop.context))
    assert done.returncode == 10
    assert "Permission denied" in done.stderr
    assert "[Errno" not in done.stderr
    assert "--store" in done.stderr
