"""`bench CONTEXT` as a user types it. What it says of time is not looked at; what it says of images is."""

import json
import os
import subprocess
from pathlib import Path
from typing import Unpack

import pytest

from tests.support.cli import Running, fswatch_builder

pytestmark = pytest.mark.root

STRATEGIES = ("fanotify", "inotify", "overlay", "scan", "scan-hash", "auto")


def bench(*arguments: str | Path, **options: Unpack[Running]) -> subprocess.CompletedProcess[str]:
    return fswatch_builder("bench", *map(str, arguments), **options)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    place = tmp_path / "context"
    place.mkdir()
    (place / "file").write_text("content\n")
    return place


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "place"
    made.mkdir()
    return made


def dockerfile(context: Path, *lines: str) -> None:
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")


def listed(directory: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in directory.rglob("*")}


def test_all_ways_to_find_changes_make_the_same_image_of_a_users_dockerfile(
    tmp_path: Path, context: Path, place: Path, busybox: Path
) -> None:
    dockerfile(context, "FROM base", "ARG WHAT", "COPY file /f", "RUN echo $WHAT > /a", "RUN rm /f; mkdir -p /d/e")
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    done = bench(
        *(context, "--build-context", f"base={busybox}", "--build-arg", "WHAT=x", "--repeat", "1"),
        *("--directory", place, "--json", out, "--html", page),
    )
    document = json.loads(out.read_text())
    found = {it["contestant"]["name"]: it for it in document["contest"]["summaries"]}
    assert set(found) | {it["builder"] for it in document["contest"]["failures"]} == set(STRATEGIES)
    assert {"fanotify", "inotify", "scan", "scan-hash"} <= set(found)
    assert all(it["differs"] == 0 for it in found.values())
    layers = {tuple(row["build"]["layers"]) for row in document["rows"] if row["build"]}
    assert len(layers) == 1
    assert len(next(iter(layers))) == 3
    assert all(len(row["build"]["runs"]) == 2 for row in document["rows"] if row["build"])
    assert "builds to do" in done.stderr
    assert done.stdout.splitlines()[-1].strip() == document["sentence"]
    assert "use " in document["sentence"]
    chosen = set(found["auto"]["trackers"])
    assert len(chosen) == 1
    assert chosen < {*STRATEGIES}
    assert "a RUN takes" in page.read_text()
    assert os.listdir(place) == []


def test_what_differs_from_build_to_build_is_told_and_no_fault_of_a_tracker(
    tmp_path: Path, context: Path, place: Path, busybox: Path
) -> None:
    dockerfile(context, "FROM base", "RUN cat /proc/sys/kernel/random/uuid > /new", "RUN echo same > /same")
    out = tmp_path / "out.json"
    done = bench(
        *(context, "--build-context", f"base={busybox}", "--strategy", "inotify,scan-hash", "--repeat", "1"),
        *("--directory", place, "--json", out),
    )
    document = json.loads(out.read_text())
    assert document["contest"]["varying"] == ["/new"]
    assert [it["differs"] for it in document["contest"]["summaries"]] == [0, 0]
    assert "something else of /new" in done.stdout


def test_an_image_of_the_users_store_is_a_base_and_the_store_is_only_read(
    tmp_path: Path, context: Path, place: Path, busybox: Path
) -> None:
    store = tmp_path / "store"
    dockerfile(context, "FROM base", "RUN echo base > /base")
    fswatch_builder("build", "-t", "mine:1", "--store", str(store), "--build-context", f"base={busybox}", str(context))
    before = listed(store)
    dockerfile(context, "# syntax=nobody/frontend", "FROM mine:1 AS one", "RUN cat /base")
    done = bench(context, "--store", store, "--quick", "--strategy", "inotify,scan", "--directory", place)
    assert "a RUN" in done.stdout.splitlines()[-1]
    assert listed(store) == before
    assert os.listdir(place) == []


FAKE = """#!/bin/sh
case " $* " in
    " --version ") echo "buildah version 9.9" ;;
    *" pull "*) tar -tf "${9#docker-archive:}" | grep -q index.json || exit 7 ;;
    *" build "*)
        for last do [ "$previous" != -f ] || dockerfile=$last; previous=$last; done
        grep -qx "FROM localhost/bench-base AS one" "$dockerfile" || exit 8
        echo "STEP 1/2: FROM base"; echo "STEP 2/2: RUN x" ;;
    *" push "*) for last do :; done; cp "$IMAGE" "${last#oci-archive:}" ;;
esac
"""


def test_another_builder_builds_the_same_and_its_image_is_compared(
    tmp_path: Path, context: Path, place: Path, busybox: Path
) -> None:
    """It pretends: what it says it built is another image of ours."""
    image = tmp_path / "image.tar"
    dockerfile(context, "FROM base", "RUN echo other > /a; echo more > /b")
    fswatch_builder(
        *("build", "--store", str(tmp_path / "store"), "--build-context", f"base={busybox}"),
        *("-o", f"type=oci,dest={image}", str(context)),
    )
    dockerfile(context, "FROM base AS one", "RUN echo ours > /a")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "buildah").write_text(FAKE)
    (programs / "buildah").chmod(0o755)
    out = tmp_path / "out.json"
    done = bench(
        *(context, "--build-context", f"base={busybox}", "--strategy", "scan", "--repeat", "2", "--peers", "buildah"),
        *("--directory", place, "--json", out),
        env={"PATH": f"{programs}:{os.environ['PATH']}", "IMAGE": str(image)},
    )
    document = json.loads(out.read_text())
    assert [it["version"] for it in document["plan"]["contestants"]][-1] == "buildah version 9.9"
    (difference,) = document["differences"]
    assert [path.partition(":")[0] for path in difference["paths"]] == ["/a", "/b"]
    assert "2 paths differ" in done.stdout
    assert sorted(row["builder"] for row in document["rows"]) == ["buildah", "buildah", "scan", "scan"]
    assert os.listdir(place) == []


@pytest.mark.parametrize(
    ("text", "arguments", "status", "says"),
    [
        (None, (), 3, "there is no Dockerfile in "),
        ("FROM base\nRUM true\n", (), 3, "unknown instruction"),
        ("FROM base\nRUN echo why; exit 3\n", (), 1, "| why"),
        ("FROM base\nRUN echo why; exit 3\n", (), 1, "Dockerfile:2"),
        ("FROM base\nCOPY missing /\n", (), 4, "missing"),
        ("FROM base\n", ("--strategy", "scan-time"), 2, "a build compares everything"),
        ("FROM base\n", ("--peers", "docker"), 2, "no builder 'docker'"),
        ("FROM base\n", ("--peers", "auto", "--quick"), 2, "no time for --peers"),
        ("FROM base\n", ("--corpus", "wide-1k"), 2, "not for the build of a Dockerfile"),
        ("FROM base\n", ("--target", "none"), 2, "could not be found"),
        ("FROM base\n", ("--json", "missing/file"), 9, "missing/file"),
        ("FROM base\n", ("--directory", "missing"), 2, "missing is not a directory"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_is(
    context: Path, place: Path, busybox: Path, text: str | None, arguments: tuple[str, ...], status: int, says: str
) -> None:
    if text is not None:
        (context / "Dockerfile").write_text(text)
    directory = () if "--directory" in arguments else ("--directory", place)
    done = bench(context, "--build-context", f"base={busybox}", *directory, *arguments, check=False, cwd=str(place))
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert os.listdir(place) == []
