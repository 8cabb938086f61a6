"""A Debian root file system as a corpus: what makes it only pretends here."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder.errors import BuildError, UsageError
from fswatch_builder.research.corpora import registry
from fswatch_builder.research.corpora.debian import PACKAGES, Debian, archive
from fswatch_builder.research.workloads.registry import chosen

Program = Callable[[str, str], None]
"""Puts a shell script on PATH, by its name."""

DEBIAN = Debian("bookworm", "http://deb.example/debian")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")

    def make(name: str, text: str) -> None:
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)

    return make


def test_it_comes_from_the_archive_that_apt_names_for_this_release(program: Program) -> None:
    suite = archive().suite
    program(
        "apt-get",
        f"echo http://other.example/debian-security {suite}-security; echo http://third.example/tool {suite}; "
        f"echo http://deb.example/debian/ {suite}",
    )
    assert archive().url == "http://deb.example/debian/"
    assert registry.chosen("debian").name == f"debian-{suite}-minbase"


def test_it_is_made_by_its_recipe_and_known_by_its_digest(tmp_path: Path, program: Program) -> None:
    calls, tree = tmp_path / "calls", tmp_path / "tree"
    program("mmdebstrap", f'printf "%s\\n" "$@" "$SOURCE_DATE_EPOCH" > {calls}; mkdir {tree}; echo x > {tree}/f')
    first = DEBIAN.make(str(tree))
    said = calls.read_text().splitlines()
    assert "--variant=minbase" in said
    assert [word for word in said if "--download-only" in word and all(name in word for name in PACKAGES)]
    assert said[-4:] == [
        "bookworm",
        str(tmp_path / "tree"),
        "deb http://deb.example/debian bookworm main",
        "1700000000",
    ]
    assert first.startswith("sha256:")


def test_an_archive_that_does_not_serve_is_one_error(tmp_path: Path, program: Program) -> None:
    program("mmdebstrap", "echo I: downloading >&2; echo E: no such host >&2; exit 9")
    with pytest.raises(BuildError, match="status 9: E: no such host"):
        DEBIAN.make(str(tmp_path / "tree"))


def test_what_it_needs_is_asked_for_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="apt names none for bookworm"):
        Debian("bookworm", None).check()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="mmdebstrap, which is not on PATH"):
        DEBIAN.check()


def test_installing_is_for_debian_alone() -> None:
    (install,) = chosen(["apt-install"])
    assert install.fits(DEBIAN.kind)
    assert not install.fits(registry.chosen("wide-1k").kind)
    assert all(workload.fits("wide") for workload in chosen(["one-file", "untar"]))
