"""Kernels from Debian: fetched by an apt of their own, unpacked beside the project, never installed.

The mirror is the one this host installs from. apt's lists, cache and sources are separate, so neither the host's
configuration nor what it would install next changes, and no root is needed.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SUITES = {"6.1": "bookworm", "6.12": "trixie"}
"""The kernels to test on, each with the release that has it. Neither has multigrain timestamps (6.13)."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
META_PACKAGE = "linux-image-amd64"
"""The full kernel: the one for clouds is smaller, but has no 9p."""


class UnavailableError(Exception):
    """A kernel cannot be had here: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unpacked kernel package."""

    name: str
    """As asked for: ``6.1``."""
    release: str
    """As ``uname -r`` says it in the guest."""
    directory: Path

    @property
    def image(self) -> Path:
        """The kernel itself."""
        return self.directory / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """What goes to /lib/modules."""
        return self.directory / "lib" / "modules"

    def insertions(self, names: list[str]) -> list[Path]:
        """The files of the modules ``names`` and of what they need, in the order in which to insert them."""
        listed = _run(
            [
                *("modprobe", "--dirname", str(self.directory), "--set-version", self.release),
                *("--show-depends", "--all", *names),
            ]
        )
        files = [Path(line.split()[1]) for line in listed.splitlines() if line.startswith("insmod ")]
        return list(dict.fromkeys(files))


def kernel(name: str, cache: Path) -> Kernel:
    """The kernel ``name``, from ``cache`` if it is there, else from the mirror. Raises `UnavailableError`."""
    directory = cache / name
    if not directory.exists():
        partial = cache / f"{name}.partial"
        if partial.exists():
            shutil.rmtree(partial)
        _fetch(SUITES[name], partial)
        partial.rename(directory)
    return Kernel(name, _release(directory), directory)


def _fetch(suite: str, directory: Path) -> None:
    apt = directory / "apt"
    for needed in ("lists/partial", "archives/partial"):
        (apt / needed).mkdir(parents=True)
    sources = apt / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n")
    options = [
        f"Dir::Etc::SourceList={sources}",
        "Dir::Etc::SourceParts=/dev/null",
        # The host's own preferences and pins are about the host.
        "Dir::Etc::Preferences=/dev/null",
        "Dir::Etc::PreferencesParts=/dev/null",
        f"Dir::State::Lists={apt}/lists",
        f"Dir::Cache={apt}",
        "Acquire::Languages=none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
        # Else apt, started by root, cannot write where root alone can.
        "APT::Sandbox::User=root",
    ]
    given = [word for option in options for word in ("-o", option)]
    _run(["apt-get", *given, "-qq", "update"])
    shown = _run(["apt-cache", *given, "show", META_PACKAGE])
    package = re.search(r"^Depends:.*?\b(linux-image-\d\S*)", shown, re.MULTILINE)
    if package is None:
        raise UnavailableError(f"{META_PACKAGE} of Debian {suite} names no kernel")
    _run(["apt-get", *given, "-qq", "download", package[1]], cwd=apt)
    (archive,) = apt.glob("*.deb")
    _run(["dpkg-deb", "--extract", str(archive), str(directory)])
    shutil.rmtree(apt)
    if not (directory / "lib").exists():
        # Packages are merged into /usr since trixie.
        (directory / "lib").symlink_to("usr/lib")
    release = _release(directory)
    _run(["depmod", "--basedir", str(directory), "--filesyms", f"{directory}/boot/System.map-{release}", release])


def _release(directory: Path) -> str:
    (modules,) = (directory / "lib" / "modules").iterdir()
    return modules.name


def _mirror() -> str:
    """Where this host gets Debian's packages from."""
    listed = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)"])
    for uri in listed.splitlines():
        if uri.rstrip("/").endswith("/debian"):
            return uri
    raise UnavailableError("apt names no mirror of Debian here (`apt-get indextargets` shows what it has)")


def _run(command: list[str], cwd: Path | None = None) -> str:
    # depmod and modprobe are not in a user's PATH.
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        raise UnavailableError(f"{command[0]} is not installed")
    done = subprocess.run(
        [program, *command[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd, check=False
    )
    if done.returncode:
        raise UnavailableError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
