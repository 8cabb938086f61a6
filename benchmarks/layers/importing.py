"""A tar becomes a base: imported (compressed, digested, durable), unpacked, recorded, kept, watched."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from benchmarks.corpora.tree import make_rootfs, pack
from benchmarks.row import Row, in_turns, row, seconds
from fswatch_builder._native import remove_tree
from fswatch_builder.build.bases import bases
from fswatch_builder.build.kept_bases import KeptBases
from fswatch_builder.build.meter import SILENT
from fswatch_builder.build.worksite import Base, Worksite
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.store import Store

MOST_RATIO = 1.3
TAR = ("tar", "--numeric-owner", "--same-owner", "-xpf")


#: Calls are counted with fewer files: a traced process is slow, and what each file takes does not depend on how many.
COUNTED = 20_000


def import_and_watch(directory: str, archive: str, timed: Callable[[Callable[[], None]], float]) -> float:
    """What ``timed`` says of all that a build does before its first RUN, with a new store in ``directory``."""
    with (
        Store.open(directory) as store,
        KeptBases(store, SILENT) as kept,
        Worksite(store, "auto", kept) as site,
    ):

        def work() -> None:
            layers = store.load_image(bases(archive, store, Platform.host(), kept)).layers
            site.base = Base(layers, "bench-base")
            site.bring_to(layers)
            if site.layers != layers or site.armed.session is None:
                raise AssertionError("not all is unpacked, or nothing watches")

        return timed(work)


def import_rows(archive: str, files: int, work: str, repeat: int) -> Iterator[Row]:
    """Against GNU tar, which only unpacks: each into a new directory, nothing of earlier runs waiting to be written."""

    def ours() -> float:
        place = tempfile.mkdtemp(dir=work)
        os.sync()
        try:
            return import_and_watch(place, archive, seconds)
        finally:
            remove_tree(os.fsencode(place))

    def theirs() -> float:
        place = tempfile.mkdtemp(dir=work)
        os.sync()
        try:
            return seconds(lambda: subprocess.run([*TAR, archive, "-C", place], check=True))
        finally:
            remove_tree(os.fsencode(place))

    figures = in_turns({"ours": ours, "tar -x": theirs}, repeat)
    what = "import, unpack, record and watch a base"
    yield row(what, "auto", files, figures["ours"], "s", peer="tar -x", peer_values=figures["tar -x"], most=MOST_RATIO)
    yield from _call_rows(work)


def _call_rows(work: str) -> Iterator[Row]:
    if shutil.which("strace") is None:
        print("system calls: left out, strace is not installed", flush=True)
        return
    with tempfile.TemporaryDirectory(dir=work) as place:
        rootfs, archive = os.path.join(place, "rootfs"), os.path.join(place, "rootfs.tar")
        make_rootfs(rootfs, COUNTED)
        pack(rootfs, archive)
        tree, log = os.path.join(place, "tree"), os.path.join(place, "log")
        os.mkdir(tree)
        once = [sys.executable, "-m", "benchmarks.layers.once", archive, os.path.join(place, "store")]
        # Removing the tree at the end is not what is counted.
        own = sum(count for name, count in _calls(once, log).items() if name not in ("unlinkat", "unlink", "rmdir"))
        theirs = sum(_calls([*TAR, archive, "-C", tree], log).values())
    yield row(
        "system calls a file, import and all",
        "auto",
        COUNTED,
        [own / COUNTED],
        "calls",
        peer="tar -x",
        peer_values=[theirs / COUNTED],
    )


def _calls(command: list[str], log: str) -> dict[str, int]:
    """How often a command and its children asked the kernel for what."""
    subprocess.run(["strace", "-f", "-c", "-U", "calls,name", "-o", log, *command], check=True)
    with open(log) as table:
        counted = (re.fullmatch(r"\s*(\d+)\s+(\w+)\s*", line) for line in table)
        return {found[2]: int(found[1]) for found in counted if found and found[2] != "total"}
