"""A Debian root file system, made once by mmdebstrap from the configured mirror and kept for later runs."""

import fcntl
import os
import shutil
import subprocess

from fswatch_builder.research.corpora.debian import archive

CACHE = os.environ.get("FSWATCH_TEST_CACHE", os.path.join(os.path.dirname(__file__), "..", "..", ".cache", "tests"))


def mirror() -> tuple[str, str | None]:
    """Suite and URL this host installs from, so that the tests ask no other; no URL where apt names none."""
    found = archive()
    return found.suite, found.url


def debian_tar() -> str:
    """Path of its tar: minbase, no documentation left out, a few seconds the first time.

    Without a URL it is mmdebstrap that knows a mirror.
    """
    os.makedirs(CACHE, exist_ok=True)
    suite, url = mirror()
    target = os.path.abspath(os.path.join(CACHE, f"debian-{suite}.tar"))
    with open(target + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(target):
            # mmdebstrap picks its format by the name's ending.
            partial = target.removesuffix(".tar") + ".partial.tar"
            command = [
                "mmdebstrap",
                "--quiet",
                "--mode=root",
                "--variant=minbase",
                suite,
                partial,
                *([f"deb {url} {suite} main"] if url else []),
            ]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            os.rename(partial, target)
    return target


def missing_tools(*names: str) -> list[str]:
    """Those that are not installed."""
    return [name for name in names if shutil.which(name) is None]
