"""Bases that stay unpacked: the layers are those of a fresh unpacking."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, Rootfs
from fswatch_builder.build import unpacking
from fswatch_builder.build.meter import Meter
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.store import Store
from tests.support.bases import hard_base
from tests.support.builds import Workshop
from tests.support.filesystems import mounted
from tests.support.kept import EPOCH, FROM_EARLIER, kept_notes, leftovers, notes, trees
from tests.support.overlays import HERE, needs_overlay_tracker

pytestmark = [pytest.mark.root, needs_overlay_tracker]

TRACKERS = ("auto", "fanotify", "inotify", "overlay", "scan") if HERE else ()


@pytest.fixture
def hard(workshop: Workshop, tmp_path: Path) -> Workshop:
    return replace(workshop, base=hard_base(workshop.base, tmp_path / "base.tar"))


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

    def unpack(layer: Layer, store: Store, rootfs: Rootfs, baseline: Baseline, meter: Meter) -> int:
        unpacked.append(str(layer))
        return real(layer, store, rootfs, baseline, meter)

    monkeypatch.setattr(unpacking, "unpack", unpack)
    first = workshop.build(lines, build_args=EPOCH)
    assert len(unpacked) == 1
    second = workshop.build(lines, use_cache=False, build_args=EPOCH)
    assert len(unpacked) == 1
    assert first.built.manifest == second.built.manifest
    assert kept_notes(second) == [FROM_EARLIER]


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


@pytest.fixture
def lenient_umask() -> Iterator[None]:
    """That of many distributions, where each user has a group of his own."""
    before = os.umask(0o002)
    yield
    os.umask(before)


@pytest.mark.usefixtures("lenient_umask")
def test_a_store_made_under_a_lenient_umask_keeps_bases(workshop: Workshop) -> None:
    """Also one in which a directory of the user's is recorded first."""
    assert workshop.base.is_dir()
    for expected in ([], [FROM_EARLIER]):
        assert kept_notes(workshop.build("FROM base\nRUN true\n", use_cache=False)) == expected


def test_in_a_store_that_others_may_write_to_nothing_is_kept(workshop: Workshop) -> None:
    os.makedirs(workshop.store / "kept")
    os.chmod(workshop.store / "kept", 0o777)
    for _ in range(2):
        assert kept_notes(workshop.build("FROM base\nRUN true\n", use_cache=False)) == []
