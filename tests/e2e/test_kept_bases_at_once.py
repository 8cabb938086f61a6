"""Several builds begin with one base that stays unpacked, and some are killed."""

import os
import re
import signal
import subprocess
import sys

import pytest

from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop
from tests.support.kept import FROM_EARLIER, kept_notes, key, leftovers, trees
from tests.support.overlays import needs_overlay_tracker

pytestmark = [pytest.mark.root, needs_overlay_tracker]

#: A build whose unpacking says when it begins, waits for a line of input, and does what that says.
BUILDER = """
import os, signal, sys
from fswatch_builder.build import unpacking
real = unpacking.unpack
def unpack(*arguments):
    print("unpacking", flush=True)
    size = real(*arguments)
    if sys.stdin.readline() == "die\\n":
        os.kill(os.getpid(), signal.SIGKILL)
    return size
unpacking.unpack = unpack
from fswatch_builder.cli.app import main
main()
"""


def start(workshop: Workshop) -> subprocess.Popen[str]:
    workshop.write("Dockerfile", "FROM base\nRUN echo x >/x\n")
    command = [
        *(sys.executable, "-c", BUILDER, "build", str(workshop.context), "--no-cache", "--progress", "plain"),
        *("--store", str(workshop.store), "--build-context", f"base={workshop.base}"),
    ]
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1000000000"}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def await_line(process: subprocess.Popen[str], stream: str, wanted: str) -> None:
    lines = getattr(process, stream)
    while wanted not in (line := lines.readline()):
        assert line, f"it ended before it said {wanted!r}"


def test_a_builder_killed_while_it_unpacks_leaves_nothing_that_is_believed(workshop: Workshop) -> None:
    with start(workshop) as process:
        await_line(process, "stdout", "unpacking")
        process.communicate("die\n", timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert trees(workshop.store) == []
    result = workshop.build("FROM base\nRUN echo x >/x\n")
    assert kept_notes(result) == []
    assert len(trees(workshop.store)) == 1
    assert leftovers(workshop.store) == []


@pytest.mark.parametrize("first_one", ["lives", "dies"])
def test_of_two_builds_one_unpacks_and_the_other_waits(workshop: Workshop, first_one: str) -> None:
    with start(workshop) as first:
        await_line(first, "stdout", "unpacking")
        with start(workshop) as second:
            await_line(second, "stderr", "waiting for another build")
            out, _ = first.communicate("die\n" if first_one == "dies" else "\n", timeout=60)
            out_of_second, told = second.communicate("\n", timeout=60)
    assert second.returncode == 0, told
    image = re.findall(r"image +(sha256:\w+)", out_of_second)
    assert ("unpacking" in out_of_second) == (first_one == "dies")
    assert (FROM_EARLIER in told) == (first_one == "lives")
    assert re.findall(r"image +(sha256:\w+)", out) == (image if first_one == "lives" else [])
    with Store.open(str(workshop.store)) as store:
        assert [thing.label for thing in store.kept.things(Kind.TREE)] == ["base"]
    assert leftovers(workshop.store) == []


def test_no_tree_is_removed_while_a_build_stands_on_it(workshop: Workshop) -> None:
    workshop.build("FROM base\nRUN true\n")
    (tree,) = trees(workshop.store)
    workshop.write("Dockerfile", "FROM base\nRUN echo ready && read x </etc/group && sleep 1000\n")
    command = [
        *(sys.executable, "-m", "fswatch_builder", "build", str(workshop.context), "--progress", "plain"),
        *("--store", str(workshop.store), "--build-context", f"base={workshop.base}"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        await_line(process, "stderr", " ready\n")
        with Store.open(str(workshop.store)) as store:
            assert not store.kept.remove(Kind.TREE, key(workshop.store))
            assert (tree / "rootfs/etc/group").exists()
            process.terminate()
            process.communicate(timeout=60)
            assert store.kept.remove(Kind.TREE, key(workshop.store))
    assert trees(workshop.store) == []
    assert leftovers(workshop.store) == []
