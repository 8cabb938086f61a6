"""Bases that stay unpacked: the layers are those of a fresh unpacking, and nothing is believed that was touched."""

import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fswatch_builder.build import unpacking
from fswatch_builder.build.events import StepNote
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store
from tests.support.bases import hard_base
from tests.support.builds import Result, Workshop, args
from tests.support.cli import fswatch_builder
from tests.support.filesystems import mounted
from tests.support.overlays import HERE, needs_overlay_tracker

pytestmark = [pytest.mark.root, needs_overlay_tracker]

EPOCH = args(SOURCE_DATE_EPOCH="1000000000")
FROM_EARLIER = "base kept from an earlier build"
TRACKERS = ("auto", "fanotify", "inotify", "overlay", "scan") if HERE else ()


@pytest.fixture
def hard(workshop: Workshop, tmp_path: Path) -> Workshop:
    return replace(workshop, base=hard_base(workshop.base, tmp_path / "base.tar"))


def notes(result: Result) -> list[str]:
    return [event.text for event in result.recorder.events if isinstance(event, StepNote)]


def kept_notes(result: Result) -> list[str]:
    return [note for note in notes(result) if "base" in note and "changes are found" not in note]


def trees(store: Path) -> list[Path]:
    return sorted(path for path in (store / "kept/tree").glob("*") if len(path.name) == 64)


def key(store: Path) -> Digest:
    """Of the only tree."""
    (tree,) = trees(store)
    return Digest(f"sha256:{tree.name}")


def of_another_boot(store: Path) -> None:
    """As if the machine had been started again."""
    with closing(sqlite3.connect(store / "state.db")) as database, database:
        assert database.execute("UPDATE kept SET boot = 'another' WHERE kind = 'tree'").rowcount == 1


def leftovers(store: Path) -> list[str]:
    return [
        *(name for name in os.listdir(store / "work") if name != ".lock"),
        *(name for name in os.listdir(store / "kept/tree") if len(name) != 64),
    ]


#: Steps that meet what is hard about an overlay on its first day.
STEPS = """FROM base
RUN true
RUN echo more >>/l/b
RUN rm /l/a && chmod 600 /pair
RUN : >>/l/deep/c; chmod 755 /usr/bin/ping; ls -lR / >/dev/null
COPY t /l/deep
RUN mv /d/d /moved && echo x >>/moved/d/new && mv /l /k && rm -r /home && mkdir /home
RUN rm -r /odd/a* /opaque && mkdir /opaque && echo y >/opaque/new && touch -d '2001-01-01 00:00:00' /empty /old
WORKDIR /empty/w
RUN chown app /usr/bin/su /pipe && ln /k/b /home/b && echo z >/redirected/own && mv /redirected /r
RUN rm -r /k /r /forged && echo end >here
"""


@pytest.mark.parametrize("tracker", TRACKERS)
def test_layers_are_those_of_a_fresh_unpacking_under_every_tracker(hard: Workshop, tracker: str) -> None:
    hard.write("t/f")
    plain = hard.build(STEPS, tracker="scan", keep_bases=False, store=hard.store / "plain", build_args=EPOCH)
    assert len(plain.layers) == 8
    first, second = (
        hard.build(STEPS, tracker=tracker, use_cache=False, build_args=EPOCH, audit=audit) for audit in (True, False)
    )
    for result in (first, second):
        assert result.names() == plain.names()
        assert result.built.manifest == plain.built.manifest
    expected = [] if tracker == "fanotify" else [FROM_EARLIER]
    assert (kept_notes(plain), kept_notes(first), kept_notes(second)) == ([], [], expected)
    assert leftovers(hard.store) == []
    assert len(trees(hard.store)) == len(expected)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_cached_layers_on_top_of_a_kept_base_are_those_of_a_fresh_unpacking(hard: Workshop, tracker: str) -> None:
    """All but the last steps come from the cache, and are unpacked upon the overlay: a link of the base gets a name."""
    hard.write("t/f")
    cached = (
        "FROM base\nRUN ln /l/a /more && rm -r /odd && mkdir /odd && echo x >/odd/x\n"
        "RUN echo 1 >/l/pair && rm /l/b && mv /d /e\n"
    )
    last = "RUN : >>/l/a; : >>/pair; : >>/l/deep/c\nRUN echo 2 >>/more\nRUN rm -r /l /e && echo 3 >/odd/x\n"
    plain = hard.build(cached + last, tracker="scan", keep_bases=False, store=hard.store / "plain", build_args=EPOCH)
    assert plain.names()[2:] == [["l", "l/a", "l/deep", "l/deep/c", "more"], [".wh.e", ".wh.l", "odd", "odd/x"]]
    hard.build(cached, tracker=tracker, build_args=EPOCH)
    result = hard.build(cached + last, tracker=tracker, build_args=EPOCH, audit=True)
    assert result.recorder.statuses()[:3] == ["cached", "cached", "done"]
    assert result.names() == plain.names()
    assert result.built.manifest == plain.built.manifest


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
@pytest.mark.parametrize("null_device", [False, True], ids=["", "with a device 0/0"])
def test_where_files_share_blocks_a_copy_is_begun_with(
    workshop: Workshop, tmp_path: Path, kind: str, null_device: bool
) -> None:
    """By the tracker that is blind on an overlay; by every one if the base has what an overlay hides."""
    base = hard_base(workshop.base, tmp_path / "base.tar", null_device=null_device)
    hard = replace(workshop, base=base)
    hard.write("t/f")
    plain = hard.build(STEPS, tracker="scan", keep_bases=False, build_args=EPOCH)
    with mounted(kind, tmp_path) as point:
        for tracker in ("fanotify", "auto"):
            for earlier in (False, True):
                result = hard.build(
                    STEPS,
                    tracker=tracker,
                    use_cache=False,
                    build_args=EPOCH,
                    audit=earlier,
                    store=point / f"store-{tracker}",
                )
                assert result.built.manifest == plain.built.manifest
                assert kept_notes(result) == ([FROM_EARLIER] if earlier else [])
                on_overlay = any("found by overlay" in note for note in notes(result))
                assert on_overlay == (tracker == "auto" and not null_device)
            assert len(trees(point / f"store-{tracker}")) == 1


def test_nothing_of_the_base_is_unpacked_again(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for a later build, not for another stage, not for a COPY from the image."""
    lines = (
        "FROM base AS a\nRUN echo 1 >/one\n"
        "FROM base AS b\nCOPY --from=a /one /\nCOPY --from=base /etc/group /g\nRUN echo >/x\n"
    )
    unpacked: list[str] = []
    real = unpacking.unpack

    def unpack(layer: object, *arguments: object) -> int:
        unpacked.append(str(layer))
        return real(layer, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(unpacking, "unpack", unpack)
    first = workshop.build(lines, build_args=EPOCH)
    assert len(unpacked) == 1
    second = workshop.build(lines, use_cache=False, build_args=EPOCH)
    assert len(unpacked) == 1
    assert first.built.manifest == second.built.manifest
    assert kept_notes(second) == [FROM_EARLIER]


def test_an_image_of_several_layers_is_kept_as_a_whole_and_is_what_its_steps_left(workshop: Workshop) -> None:
    """Whiteouts, a directory made anew, links across layers."""
    steps = (
        "FROM base\nRUN mkdir /l && echo 1 >/l/a && ln /l/a /z && mkdir -p /gone/d && echo x >/gone/f\n"
        "RUN rm -r /gone /home && mkdir /home && echo y >/home/new && ln /z /l/b\n"
    )
    from fswatch_builder.oci.reference import Reference

    workshop.build(steps, names=(Reference.parse("made"),), build_args=EPOCH)
    lines = "RUN test ! -e /gone && test ! -e /home/app && echo 2 >>/l/b\nRUN rm /z\n"
    expected = workshop.build(steps + lines, keep_bases=False, tracker="scan", use_cache=False, build_args=EPOCH)
    for _ in range(2):
        result = workshop.build("FROM made\n" + lines, use_cache=False, build_args=EPOCH)
        assert [layer.diff_id for layer in result.built.image.layers] == [
            layer.diff_id for layer in expected.built.image.layers
        ]
    assert kept_notes(result) == [FROM_EARLIER]
    assert len(trees(workshop.store)) == 2


def test_a_device_that_an_overlay_hides_is_in_the_root_file_system_all_the_same(
    workshop: Workshop, tmp_path: Path
) -> None:
    """overlayfs takes a character device 0/0 for a deleted file."""
    odd = replace(workshop, base=hard_base(workshop.base, tmp_path / "base.tar", null_device=True))
    lines = "FROM base\nRUN test -c /gone && echo x >/f\nRUN rm /gone\n"
    for _ in range(2):
        result = odd.build(lines, use_cache=False)
        assert result.names() == [["f"], [".wh.gone"]]
        assert kept_notes(result) == ["the base is not kept: an overlay would hide its character device 0/0"]
    assert trees(odd.store) == []
    assert leftovers(odd.store) == []


def test_a_cached_layer_with_a_device_that_an_overlay_cannot_hold_is_unpacked_elsewhere(workshop: Workshop) -> None:
    made = "FROM base\nRUN mknod /n c 0 0 && echo 1 >/one\n"
    plain = workshop.build(made, keep_bases=False, tracker="scan")
    assert plain.names() == [["n", "one"]]
    lines = made + "RUN test -c /n && rm /n && echo 2 >>/one\n"
    result = workshop.build(lines)
    assert result.names() == [["n", "one"], [".wh.n", "one"]]
    assert kept_notes(result)[-1] == (
        "the base is unpacked anew: a cached layer has a device 0/0, which an overlay cannot hold"
    )
    assert leftovers(workshop.store) == []


def test_without_kept_bases_nothing_is_kept_and_no_overlay_is_mounted(workshop: Workshop) -> None:
    for _ in range(2):
        result = workshop.build("FROM base\nRUN cat /proc/mounts\n", use_cache=False, keep_bases=False)
        assert not re.search(r"^\S+ / overlay ", result.recorder.printed(), re.MULTILINE)
        assert kept_notes(result) == []
    assert trees(workshop.store) == []
    result = workshop.build("FROM base\nRUN cat /proc/mounts\n", use_cache=False)
    assert re.search(r"^\S+ / overlay ", result.recorder.printed(), re.MULTILINE)  # the test can fail


# -- what is not believed ---------------------------------------------------------------------------------------------


def rewrite(root: Path) -> None:
    """The same size, the same times."""
    before = os.stat(root / "etc/group")
    (root / "etc/group").write_text((root / "etc/group").read_text().replace("app", "APP"))
    os.utime(root / "etc/group", ns=(before.st_atime_ns, before.st_mtime_ns))


def add(root: Path) -> None:
    before = os.stat(root / "etc")
    (root / "etc/new").write_text("x")
    os.utime(root / "etc", ns=(before.st_atime_ns, before.st_mtime_ns))


def damage(root: Path) -> None:
    path = root.parent / "baseline"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "rewritten with its times restored": (rewrite, "in 1 places, such as /etc/group"),
    "added": (add, "such as /etc/new"),
    "a socket": (lambda root: os.mknod(root / "etc/s", stat.S_IFSOCK | 0o600), "such as /etc"),
    "removed": (lambda root: os.remove(root / "etc/group"), "in 2 places, such as /etc"),
    "mode": (lambda root: os.chmod(root / "etc/group", 0o666), "such as /etc/group"),
    "mode of the root": (lambda root: os.chmod(root, 0o700), "such as /"),
    "attribute": (lambda root: os.setxattr(root / "bin", "user.x", b"1"), "such as /bin"),
    "damaged record": (damage, "baseline: "),
    "no record": (lambda root: os.remove(root.parent / "baseline"), "baseline is missing"),
    "no tree": (shutil.rmtree, "rootfs is missing"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tree_that_was_touched_is_dropped_and_it_is_said(workshop: Workshop, how: str) -> None:
    lines = "FROM base\nRUN echo x >>/etc/group\n"
    first = workshop.build(lines, build_args=EPOCH)
    (tree,) = trees(workshop.store)
    tamper, told = TAMPERED[how]
    tamper(tree / "rootfs")
    second = workshop.build(lines, use_cache=False, build_args=EPOCH)
    assert second.built.manifest == first.built.manifest
    (note,) = kept_notes(second)
    assert note.startswith("the base kept from an earlier build is unpacked anew: ")
    assert told in note
    assert trees(workshop.store) == [tree]
    third = workshop.build(lines, use_cache=False, build_args=EPOCH)
    assert third.built.manifest == first.built.manifest
    assert kept_notes(third) == [FROM_EARLIER]
    assert leftovers(workshop.store) == []  # what was dropped stayed for who might have used it


def test_prune_verify_reads_what_is_kept_and_drops_what_was_touched(workshop: Workshop) -> None:
    workshop.build("FROM base\nRUN echo x >>/etc/group\n")
    whole = fswatch_builder("prune", "--verify", f"--store={workshop.store}")
    assert "all whole" in whole.stdout
    (tree,) = trees(workshop.store)
    rewrite(tree / "rootfs")
    found = fswatch_builder("prune", "--verify", f"--store={workshop.store}", check=False)
    assert found.returncode == 10
    assert "in 1 places, such as /etc/group" in found.stderr
    assert trees(workshop.store) == []


@pytest.mark.parametrize("place", ["kept", "kept/tree"])
def test_where_others_may_write_nothing_is_believed_or_kept(workshop: Workshop, place: str) -> None:
    lines = "FROM base\nRUN echo x >/x\n"
    first = workshop.build(lines, build_args=EPOCH)
    os.chmod(workshop.store / place, 0o777)
    second = workshop.build(lines, use_cache=False, build_args=EPOCH)
    assert second.built.manifest == first.built.manifest
    assert kept_notes(second) == []
    os.chmod(workshop.store / place, 0o700)
    os.chown(workshop.store / place, 1000, 1000)
    assert kept_notes(workshop.build(lines, use_cache=False)) == []
    os.chown(workshop.store / place, 0, 0)
    assert kept_notes(workshop.build(lines, use_cache=False)) == [FROM_EARLIER]


def test_a_build_neither_writes_to_a_kept_tree_nor_leaves_traces_in_it(hard: Workshop) -> None:
    hard.write("t/f")
    hard.build(STEPS, tracker="overlay")
    (tree,) = trees(hard.store)
    before = {path: os.lstat(path) for path in tree.rglob("*")}
    hard.build(STEPS, tracker="inotify", use_cache=False)
    after = {path: os.lstat(path) for path in tree.rglob("*")}
    assert after.keys() == before.keys()
    changed = [
        path for path, status in after.items() if (status.st_ctime_ns, status.st_nlink) != evidence(before[path])
    ]
    assert changed == []


def evidence(status: os.stat_result) -> tuple[int, int]:
    return status.st_ctime_ns, status.st_nlink


def test_after_a_boot_every_byte_is_read_once(workshop: Workshop, tmp_path: Path) -> None:
    """A power cut may leave files whose metadata is there and whose bytes are not. Here they are wiped below the file
    system.
    """
    lines = "FROM base\nRUN cat /etc/group\n"
    with mounted("ext4", tmp_path) as point:
        first = workshop.build(lines, store=point / "store")
        (tree,) = trees(point / "store")
        group = tree / "rootfs/etc/group"
        os.sync()
        blocks = subprocess.run(["filefrag", "-v", group], capture_output=True, text=True, check=True).stdout
        block = int(re.findall(r"^\s+0:\s+\d+\.\.\s+\d+:\s+(\d+)\.\.", blocks, re.MULTILINE)[0])
        size = int(re.findall(r"blocks? of (\d+) bytes", blocks)[0])
        subprocess.run(["umount", point], check=True)
        try:
            with open(tmp_path / "ext4.image", "r+b") as file:
                file.seek(block * size)
                assert file.read(4) == b"root"
                file.seek(block * size)
                file.write(b"\0" * size)
        finally:
            subprocess.run(["mount", "-o", "loop", tmp_path / "ext4.image", point], check=True)
        second = workshop.build(lines, store=point / "store", use_cache=False)
        assert kept_notes(second) == [FROM_EARLIER]  # as the evidence says: the test can fail
        assert "root" not in second.recorder.printed()
        of_another_boot(point / "store")
        third = workshop.build(lines, store=point / "store", use_cache=False)
        assert "such as /etc/group" in kept_notes(third)[0]
        assert third.recorder.printed() == first.recorder.printed()


def test_after_a_boot_a_whole_tree_is_believed_again(workshop: Workshop) -> None:
    lines = "FROM base\nRUN echo x >/x\n"
    workshop.build(lines)
    of_another_boot(workshop.store)
    with Store.open(str(workshop.store)) as store, store.kept.use(Kind.TREE, key(workshop.store)) as found:
        assert not found.of_this_boot
    assert kept_notes(workshop.build(lines, use_cache=False)) == [FROM_EARLIER]
    with Store.open(str(workshop.store)) as store, store.kept.use(Kind.TREE, key(workshop.store)) as found:
        assert found.of_this_boot


# -- several at once, and killed ones ---------------------------------------------------------------------------------

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
