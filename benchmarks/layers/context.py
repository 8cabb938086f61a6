"""A large build context that nobody has touched: a build from the cache, beside one that reads all of it again."""

import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.corpora.package import make_package
from benchmarks.row import Row, in_turns, row, seconds
from fswatch_builder.research.peers.own_log import environment

FILES = 20_000
SIZE = 400 << 20


def context_rows(work: str, repeat: int) -> Iterator[Row]:
    """The whole command, its start included; and what git takes to see that nothing is to be committed."""
    context = os.path.join(work, "context")
    make_package(context, FILES, SIZE)
    with open(os.path.join(context, "Dockerfile"), "w") as file:
        file.write("FROM scratch\nCOPY . /\n")
    git = ["git", "-C", context]
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run([*git, *command], check=True)
    with open(os.path.join(context, ".dockerignore"), "w") as file:
        file.write(".git\n")
    build = [
        sys.executable,
        "-m",
        "fswatch_builder",
        "build",
        "--store",
        os.path.join(work, "store"),
        "--quiet",
        context,
    ]

    def timed(command: list[str]) -> float:
        return seconds(
            lambda: subprocess.run(command, check=True, env=environment(os.environ), stdout=subprocess.DEVNULL)
        )

    for _ in range(2):  # the first makes the layer; files that were written just now are read by the second as well
        timed(build)
    figures = in_turns(
        {
            "known": lambda: timed(build),
            "read": lambda: timed([*build, "--hash", "all"]),
            "git": lambda: timed([*git, "status", "--short"]),
        },
        repeat,
    )
    what = f"a context of {SIZE >> 20} MB, all cached"
    yield row(
        what,
        "fswatch-builder",
        FILES,
        figures["known"],
        "s",
        peer="read anew (--hash all)",
        peer_values=figures["read"],
    )
    yield row(what, "git status", FILES, figures["git"], "s")
