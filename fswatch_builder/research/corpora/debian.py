"""A Debian root file system, as images of Debian have it, and packages that wait in it to be installed."""

import os
import shutil
import subprocess
from collections.abc import Iterable

from msgspec import Struct

from fswatch_builder.errors import BuildError, UsageError
from fswatch_builder.research.corpora.digest import tree_digest

KIND = "debian"
VARIANT = "minbase"
PACKAGES = ("curl", "jq", "less", "vim-tiny")
"""What is in the download cache, with all that it needs, so that the network is not what is measured."""

_BYTES = 450_000_000
_EPOCH = "1700000000"
_DOWNLOAD = f'chroot "$1" apt-get --yes --quiet --no-install-recommends --download-only install {" ".join(PACKAGES)}'


class Archive(Struct, frozen=True):
    """Where this machine installs from: the suite of its own release. ``url`` is None where apt names no archive."""

    suite: str
    url: str | None


def archive() -> Archive:
    """By its own apt sources, so that nobody else is asked."""
    with open("/etc/os-release") as file:
        suite = _suite(file)
    if shutil.which("apt-get") is None:
        return Archive(suite, None)
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)"], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        url, _, codename = line.partition(" ")
        if codename == suite and url.rstrip("/").endswith("/debian"):
            return Archive(suite, url)
    return Archive(suite, None)


def _suite(release: Iterable[str]) -> str:
    for line in release:
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME":
            return value.strip().strip('"')
    return "stable"


class Debian(Struct, frozen=True):
    """Pinned by suite, variant and packages; what the archive has of them today is in the digest."""

    suite: str
    url: str | None

    @property
    def name(self) -> str:
        """As rows tell it."""
        return f"{KIND}-{self.suite}-{VARIANT}"

    @property
    def kind(self) -> str:
        """What workloads go by."""
        return KIND

    @property
    def bytes_on_disk(self) -> int:
        """About what it takes."""
        return _BYTES

    def check(self) -> None:
        """UsageError if it cannot be made here."""
        if shutil.which("mmdebstrap") is None:
            raise UsageError(
                f"corpus {KIND} is made by mmdebstrap, which is not on PATH", hint="apt-get install mmdebstrap"
            )
        if os.geteuid() != 0:
            raise UsageError(f"corpus {KIND} has files of many owners: only root can make it")
        if self.url is None:
            raise UsageError(
                f"corpus {KIND} comes from the archive that this machine installs from, and apt names none for "
                f"{self.suite}"
            )

    def make(self, directory: str) -> str:
        """Makes it at a path where nothing is, and returns its digest. BuildError if the archive does not serve."""
        command = ["mmdebstrap", "--quiet", "--mode=root", f"--variant={VARIANT}", "--skip=cleanup/apt"]
        command += [f"--customize-hook={_DOWNLOAD}", self.suite, directory, f"deb {self.url} {self.suite} main"]
        done = subprocess.run(
            command,
            env={**os.environ, "SOURCE_DATE_EPOCH": _EPOCH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or ["it says nothing"]
            raise BuildError(
                f"mmdebstrap ended with status {done.returncode}: {said[-1]}",
                hint=f"{self.url} has to be reachable; `apt-get update` tells",
            )
        return tree_digest(directory)


def debian() -> Debian:
    """That of this machine's release."""
    found = archive()
    return Debian(found.suite, found.url)
