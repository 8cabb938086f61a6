"""The tree that mutations find, and the table they enter themselves in."""

import ctypes
import os
import sys
from collections.abc import Callable

OLD = 1_000_000_000  # a time long before any test


def write(path: str, content: str) -> None:
    with open(path, "w") as file:
        file.write(content)


def populate(root: str) -> None:
    """Files, links of both kinds, a deep directory, a wide one, odd names."""
    os.chdir(root)
    for directory in ("etc", "usr/bin", "usr/lib/deep/er/still", "var/lib", "wide", "tmp", "data/a/b", "data/c"):
        os.makedirs(directory)
    for path in ("etc/passwd", "etc/group", "usr/bin/tool", "usr/lib/deep/er/still/leaf", "data/a/b/one", "data/c/two"):
        write(path, f"content of {path}\n")
    for number in range(50):
        write(f"wide/{number}", "x" * number)
    os.symlink("usr/bin", "bin")
    os.symlink("/etc/passwd", "etc/link")
    write("data/linked", "three names\n")
    os.link("data/linked", "data/a/linked")
    os.link("data/linked", "usr/lib/linked")
    write("data/pair", "two names\n")
    os.link("data/pair", "data/pair-too")
    write("data/left", "as long as the other\n")
    write("data/right", "AS LONG AS THE OTHER\n")
    os.chmod("tmp", 0o1777)
    for place, _, files in os.walk(b".", topdown=False):
        for name in files:
            os.utime(os.path.join(place, name), (OLD, OLD), follow_symlinks=False)
        os.utime(place, (OLD, OLD))


MUTATIONS: dict[str, Callable[[], None]] = {}


def mutation(function: Callable[[], None]) -> Callable[[], None]:
    MUTATIONS[function.__name__] = function
    return function


class Impossible(Exception):  # noqa: N818
    """This host cannot do it: the file system or the kernel lacks something."""


IMPOSSIBLE = 77
_PR_SET_CHILD_SUBREAPER = 36


def run_to_the_end(name: str) -> None:
    """Runs one mutation and waits for all processes it leaves, as the sandbox does. Does not return."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    first = os.fork()
    if first == 0:
        try:
            MUTATIONS[name]()
        except Impossible as error:
            print(error, file=sys.stderr)
            sys.exit(IMPOSSIBLE)
        sys.exit(0)
    worst = 0
    while True:
        try:
            _, status = os.wait()
        except ChildProcessError:
            sys.exit(worst)
        # One that was killed was meant to be: what failed has a traceback.
        if os.WIFEXITED(status):
            worst = max(worst, os.WEXITSTATUS(status))
