"""What a user who is not root meets: what works works, and the rest has its cause and its cure at once."""

import os
from pathlib import Path

import pytest

from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop
from tests.support.ordinary_user import NOBODY, as_user
from tests.support.stores import make_image

pytestmark = pytest.mark.root  # to become somebody else


@pytest.fixture
def home(workshop: Workshop, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    return home


def test_a_build_that_touches_no_file_works_and_fills_the_user_s_own_store(workshop: Workshop, home: Path) -> None:
    workshop.write("Dockerfile", "FROM base\nENV a=b\nCMD x\n")
    done = as_user(home, "build", f"--build-context=base={workshop.base}", "-t", "mine", str(workshop.context))
    assert done.returncode == 0, done.stderr
    assert str(home / ".local/share/fswatch-builder") in done.stdout
    assert as_user(home, "images").stdout.splitlines()[1].split()[:2] == ["mine", "latest"]


@pytest.mark.parametrize(
    "line",
    [
        "RUN echo x >/f",
        "RUN --mount=type=cache,target=/c true",
        "COPY Dockerfile /d",
        "ADD Dockerfile /d",
        "WORKDIR /w",
    ],
)
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


def test_somebody_else_s_store_that_may_be_read_is_read_and_not_written(workshop: Workshop, home: Path) -> None:
    with Store.open(str(workshop.store)) as store:
        make_image(store, b"layer", name="theirs")
    for path in (workshop.store, *workshop.store.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    option = f"--store={workshop.store}"
    assert "theirs" in as_user(home, "images", option).stdout
    assert "theirs:latest" in as_user(home, "inspect", option, "theirs").stdout
    workshop.write("Dockerfile", "FROM scratch\nENV a=b\n")
    for command in (["prune", "-f", option], ["prune", "--verify", option], ["rmi", option, "theirs"],
                    ["build", "-t", "mine", option, str(workshop.context)]):  # fmt: skip
        done = as_user(home, *command)
        assert (done.returncode, "Permission denied" in done.stderr) == (9, True), done.stderr
        assert "Traceback" not in done.stderr
