"""A tar becomes a base: imported (compressed, digested, durable), unpacked, recorded, saved, watched."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.row import Row, in_turns, row, seconds
from fswatch_builder.build.bases import bases
from fswatch_builder.build.worksite import Worksite
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.store import Store

MOST_RATIO = 1.3
TAR = ("tar", "--numeric-owner", "--same-owner", "-xpf")


def import_and_watch(store: Store, site: Worksite, archive: str) -> None:
    """All that a build does before its first RUN, the first time."""
    site.bring_to(store.load_image(bases(archive, store, Platform.host())).layers)
    if site.armed.session is None:
        raise AssertionError("nothing watches")


def import_rows(archive: str, files: int, work: str, repeat: int) -> Iterator[Row]:
    """Against GNU tar, which only unpacks: each into a new directory, nothing of earlier runs waiting to be written."""

    def ours() -> float:
        with (
            tempfile.TemporaryDirectory(dir=work) as place,
            Store.open(place) as store,
            Worksite(store, "auto") as site,
        ):
            os.sync()
            return seconds(lambda: import_and_watch(store, site, archive))

    def theirs() -> float:
        with tempfile.TemporaryDirectory(dir=work) as place:
            os.sync()
            return seconds(lambda: subprocess.run([*TAR, archive, "-C", place], check=True))

    figures = in_turns({"ours": ours, "tar -x": theirs}, repeat)
    what = "import, unpack, record and watch a base"
    yield row(what, "auto", files, figures["ours"], "s", peer="tar -x", peer_values=figures["tar -x"], most=MOST_RATIO)
    yield from _call_rows(archive, files, work)


def _call_rows(archive: str, files: int, work: str) -> Iterator[Row]:
    if shutil.which("strace") is None:
        print("system calls: left out, strace is not installed", flush=True)
        return
    with tempfile.TemporaryDirectory(dir=work) as place:
        tree, log = os.path.join(place, "tree"), os.path.join(place, "log")
        os.mkdir(tree)
        once = [sys.executable, "-m", "benchmarks.layers.once", archive, os.path.join(place, "store")]
        # Removing the tree at the end is not what is counted.
        own = sum(count for name, count in _calls(once, log).items() if name not in ("unlinkat", "unlink", "rmdir"))
        theirs = sum(_calls([*TAR, archive, "-C", tree], log).values())
    yield row(
        "system calls a file, import and all",
        "auto",
        files,
        [own / files],
        "calls",
        peer="tar -x",
        peer_values=[theirs / files],
    )


def _calls(command: list[str], log: str) -> dict[str, int]:
    """How often a command and its children asked the kernel for what."""
    subprocess.run(["strace", "-f", "-c", "-U", "calls,name", "-o", log, *command], check=True)
    with open(log) as table:
        counted = (re.fullmatch(r"\s*(\d+)\s+(\w+)\s*", line) for line in table)
        return {found[2]: int(found[1]) for found in counted if found and found[2] != "total"}
