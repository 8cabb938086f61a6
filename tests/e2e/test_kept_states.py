"""A root file system begins with the longest part of its layers that is unpacked: a base, and steps on top of it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, Rootfs
from fswatch_builder.build import kept_bases, unpacking
from fswatch_builder.build.meter import Meter
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.bases import hard_base
from tests.support.builds import Result, Workshop
from tests.support.filesystems import mounted
from tests.support.kept import EPOCH, FROM_EARLIER, kept_notes, leftovers, of_another_boot, trees
from tests.support.overlays import needs_overlay_tracker

pytestmark = [pytest.mark.root, needs_overlay_tracker]

#: More than the base takes, in a blob; whiteouts, links into the base, a directory made anew.
LARGE = (
    "FROM base\nRUN dd if=/dev/urandom of=/large bs=1M count=4 && ln /l/a /more && rm -r /odd && mkdir /odd\n"
    "RUN echo 1 >/l/pair && rm /l/b && mv /d /e && echo x >/odd/x\n"
)
SMALL = "FROM base\nRUN ln /l/a /more && rm -r /odd && mkdir /odd\nRUN echo x >/odd/x\n"


@pytest.fixture
def hard(workshop: Workshop, tmp_path: Path) -> Workshop:
    return replace(workshop, base=hard_base(workshop.base, tmp_path / "base.tar"))


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The diffIDs of layers that are unpacked, as they are."""
    seen: list[str] = []
    real = unpacking.unpack

    def unpack(layer: Layer, store: Store, rootfs: Rootfs, baseline: Baseline, meter: Meter) -> int:
        seen.append(str(layer.diff_id))
        return real(layer, store, rootfs, baseline, meter)

    monkeypatch.setattr(unpacking, "unpack", unpack)
    return seen


def states(store: Path) -> list[Path]:
    return trees(store, "state")


def last(
    workshop: Workshop,
    steps: str,
    word: str,
    *,
    store: Path | None = None,
    tracker: str = "auto",
    use_cache: bool = True,
    keep_bases: bool = True,
) -> Result:
    """Another last line after steps that are cached."""
    result = workshop.build(
        f"{steps}RUN echo {word} >>/l/a && : >>/l/deep/c\n",
        build_args=EPOCH,
        store=store,
        tracker=tracker,
        use_cache=use_cache,
        keep_bases=keep_bases,
    )
    assert result.recorder.statuses()[-1] == "done"
    return result


def same_but_for_the_large_file(one: Result, other: Result) -> None:
    assert one.names() == other.names()
    assert one.diff_ids()[1:] == other.diff_ids()[1:]


def test_steps_that_take_more_than_the_base_are_unpacked_once(hard: Workshop, unpacked: list[str]) -> None:
    """Whoever changes the last line again and again does not wait for those before."""
    hard.build(LARGE, build_args=EPOCH)
    del unpacked[:]
    first = last(hard, LARGE, "first")
    assert len(unpacked) == 3  # the base too, which the tree of all is made of
    assert len(states(hard.store)) == 1
    del unpacked[:]
    for word in ("second", "third"):
        result = last(hard, LARGE, word)
        assert kept_notes(result) == [FROM_EARLIER]
        assert result.recorder.statuses() == ["cached", "cached", "done"]
    assert unpacked == []
    plain = last(hard, LARGE, "third", keep_bases=False, tracker="scan", use_cache=False, store=hard.store / "plain")
    same_but_for_the_large_file(result, plain)
    same_but_for_the_large_file(first, last(hard, LARGE, "first", keep_bases=False, use_cache=False))
    assert leftovers(hard.store) == []


@pytest.mark.parametrize("tracker", ["overlay", "inotify", "scan"])
def test_layers_on_top_of_a_kept_state_are_those_of_a_fresh_unpacking(hard: Workshop, tracker: str) -> None:
    hard.build(LARGE, build_args=EPOCH)
    last(hard, LARGE, "begin")
    more = "RUN rm -r /e/d && echo 2 >>/more && : >>/pair\nRUN rm /large && chmod 600 /odd/x && mv /odd /o\n"
    result = hard.build(LARGE + more, tracker=tracker, build_args=EPOCH, audit=True)
    assert kept_notes(result) == [FROM_EARLIER]
    plain = hard.build(LARGE + more, tracker="scan", keep_bases=False, use_cache=False, build_args=EPOCH)
    same_but_for_the_large_file(result, plain)


def test_small_steps_are_unpacked_on_top_until_they_come_to_as_much_as_the_base(
    hard: Workshop, unpacked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hard.build(SMALL, build_args=EPOCH)
    (tree,) = trees(hard.store)
    del unpacked[:]
    for number in range(3):
        result = last(hard, SMALL, str(number))
        assert kept_notes(result) == [FROM_EARLIER]
    assert len(unpacked) == 3 * 2
    assert (states(hard.store), trees(hard.store)) == ([], [tree])
    # As if it had been a million times.
    real = kept_bases._Stack.size
    monkeypatch.setattr(
        kept_bases._Stack, "size", lambda self, first, end: real(self, first, end) * (1_000_000 if first else 1)
    )
    last(hard, SMALL, "millionth")
    assert len(states(hard.store)) == 1
    del unpacked[:]
    last(hard, SMALL, "after that")
    assert unpacked == []


def test_the_longest_part_is_begun_with(hard: Workshop, unpacked: list[str]) -> None:
    """A line in the middle is new: what is above it is not unpacked, nor what is kept of more."""
    hard.build(LARGE, build_args=EPOCH)
    last(hard, LARGE, "x")
    hard.build(LARGE + "RUN echo 1 >/one\n", build_args=EPOCH)
    del unpacked[:]
    result = last(hard, LARGE + "RUN echo 1 >/one\n", "y")
    assert len(unpacked) == 1
    assert kept_notes(result) == [FROM_EARLIER]
    assert len(states(hard.store)) == 1


def test_an_image_that_was_built_here_begins_with_what_is_kept_of_its_own_base(
    hard: Workshop, unpacked: list[str]
) -> None:
    hard.build(SMALL, names=(Reference.parse("made"),), build_args=EPOCH)
    del unpacked[:]
    lines = "RUN echo 2 >>/more\nRUN rm /l/a /odd/x\n"
    result = hard.build("FROM made\n" + lines, build_args=EPOCH)
    assert len(unpacked) == 2
    assert kept_notes(result) == [FROM_EARLIER]
    expected = hard.build(SMALL + lines, keep_bases=False, tracker="scan", use_cache=False, build_args=EPOCH)
    assert result.built.image.layers[-2:] == expected.built.image.layers[-2:]
    assert [layer.diff_id for layer in result.built.image.layers] == [
        layer.diff_id for layer in expected.built.image.layers
    ]


def test_of_states_the_longest_unused_goes(hard: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_bases, "_MOST_STATES", 2)
    kept: list[set[Path]] = []
    for number in range(4):
        steps = LARGE.replace("/large", f"/large{number}")
        hard.build(steps, build_args=EPOCH)
        last(hard, steps, "x")
        kept.append(set(states(hard.store)))
    assert [len(each) for each in kept] == [1, 2, 2, 2]
    assert kept[3] - kept[2]
    assert len(trees(hard.store)) == 1  # of bases all stay


def test_a_state_that_was_touched_is_dropped_and_made_anew(hard: Workshop) -> None:
    hard.build(LARGE, build_args=EPOCH)
    last(hard, LARGE, "x")
    (state,) = states(hard.store)
    os.chmod(state / "rootfs/large", 0o666)
    result = last(hard, LARGE, "y")
    (note,) = kept_notes(result)
    assert "such as /large" in note
    assert states(hard.store) == [state]  # another one
    plain = last(hard, LARGE, "y", keep_bases=False, use_cache=False)
    same_but_for_the_large_file(result, plain)


def test_after_a_boot_every_byte_of_a_state_is_read(hard: Workshop) -> None:
    hard.build(LARGE, build_args=EPOCH)
    last(hard, LARGE, "x")
    (state,) = states(hard.store)
    file = state / "rootfs/odd/x"
    before = os.stat(file)
    content = file.read_bytes()
    file.write_bytes(content.replace(b"x", b"y"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    of_another_boot(hard.store, "state")
    assert "such as /odd/x" in kept_notes(last(hard, LARGE, "y"))[0]


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_where_files_share_blocks_a_state_shares_those_of_the_base(
    hard: Workshop, tmp_path: Path, unpacked: list[str], kind: str
) -> None:
    with mounted(kind, tmp_path) as point:
        hard.build(LARGE, store=point / "store", build_args=EPOCH)
        del unpacked[:]
        first = last(hard, LARGE, "x", store=point / "store")
        assert len(unpacked) == 2  # not the base
        second = last(hard, LARGE, "x", store=point / "store", use_cache=False, keep_bases=False)
        same_but_for_the_large_file(first, second)
        assert len(states(point / "store")) == 1
