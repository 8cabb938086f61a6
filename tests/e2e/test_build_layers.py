"""What lands in which layer (law of layers, docs/architecture.md), on a real root file system with real commands."""

import io
import os
import tarfile
from collections.abc import Callable

import pytest

from tests.support.builds import Workshop, args

pytestmark = pytest.mark.root


def tar_of(names: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.mark.parametrize("keyword", ["COPY", "ADD"])
def test_three_identical_copies_make_three_layers_with_one_file_each(workshop: Workshop, keyword: str) -> None:
    workshop.write("f")
    result = workshop.build(f"FROM base\n{keyword} f /a\n{keyword} f /a\n{keyword} f /a\n")
    assert result.names() == [["a"], ["a"], ["a"]]


def test_files_put_into_a_populated_root_bring_nothing_else_along(workshop: Workshop) -> None:
    workshop.write("f")
    workshop.write("d/sub/g")
    workshop.write("t.tar", tar_of({"h": "h", "etc/new": "n"}))
    result = workshop.build("FROM base\nCOPY f /\nCOPY d/ /\nADD t.tar /\n")
    assert result.names() == [["f"], ["sub", "sub/g"], ["etc", "etc/new", "h"]]


def test_workdir_makes_a_directory_only_where_there_is_none(workshop: Workshop) -> None:
    result = workshop.build("FROM base\nWORKDIR /etc\nWORKDIR /a/b\nWORKDIR /a\nUSER app\nWORKDIR own\n")
    assert result.names() == [["a", "a/b"], ["a", "a/own"]]
    owners = {member.name: (member.uid, member.gid) for member in result.members(result.layers[1])}
    assert owners == {"a": (0, 0), "a/own": (1000, 1000)}


@pytest.mark.parametrize("tracker", ["inotify", "scan"])
@pytest.mark.parametrize(
    "command", ["true", "touch /tmp/x && rm /tmp/x && touch -r /etc /tmp", "cat /etc/passwd >/dev/null"]
)
def test_a_run_that_changes_nothing_makes_no_layer(workshop: Workshop, tracker: str, command: str) -> None:
    text = f"FROM base\nRUN touch -d '2001-01-01 00:00:00' /etc /tmp\nRUN {command}\n"
    result = workshop.build(text, tracker=tracker)
    assert len(result.layers) == 1
    assert [line.empty_layer for line in result.built.image.history[-2:]] == [False, True]


@pytest.mark.parametrize("tracker", ["inotify", "scan"])
def test_equal_bytes_written_again_are_a_change(workshop: Workshop, tracker: str) -> None:
    text = "FROM base\nRUN echo a >/f && touch -d 2001-01-01 /f\nRUN echo a >/f\n"
    assert workshop.build(text, tracker=tracker).names() == [["f"], ["f"]]


def test_a_copy_as_last_instruction_is_no_special_case(workshop: Workshop) -> None:
    workshop.write("f")
    assert workshop.build("FROM base\nRUN echo a >/g\nCOPY f /f\n").names() == [["g"], ["f"]]
    assert workshop.build("FROM base\nCOPY f /f\n").names() == [["f"]]


@pytest.mark.parametrize("tracker", ["inotify", "scan"])
def test_what_the_builder_writes_is_no_change_of_the_next_run(workshop: Workshop, tracker: str) -> None:
    workshop.write("d/f")
    workshop.write("t.tar", tar_of({"x/h": "h"}))
    lines = (
        "RUN echo 1 >/1\nCOPY d /opt/d\nRUN echo 2 >/2\nADD t.tar /opt\nRUN echo 3 >/3\nWORKDIR /w/v\nRUN echo 4 >/4\n"
    )
    result = workshop.build(f"FROM base\n{lines}", tracker=tracker)
    assert result.names() == [
        ["1"],
        ["opt", "opt/d", "opt/d/f"],
        ["2"],
        ["opt", "opt/x", "opt/x/h"],
        ["3"],
        ["w", "w/v"],
        ["4"],
    ]


def test_a_copied_resolv_conf_stays_and_a_runs_own_leaves_no_trace(workshop: Workshop) -> None:
    workshop.write("f", "nameserver 192.0.2.1\n")
    result = workshop.build("FROM base\nRUN echo 1 >/1\nCOPY f /etc/resolv.conf\nRUN echo 2 >/2\n")
    assert result.names() == [["1"], ["etc", "etc/resolv.conf"], ["2"]]
    assert result.text(result.layers[1], "etc/resolv.conf") == "nameserver 192.0.2.1\n"


def test_a_removed_file_is_one_whiteout_in_one_layer(workshop: Workshop) -> None:
    result = workshop.build("FROM base\nRUN rm /etc/group\nRUN echo a >/f\n")
    assert result.names() == [["etc", "etc/.wh.group"], ["f"]]


MUTATIONS = """FROM base
RUN mkdir -p /a/b/c && echo 1 >/a/b/c/f && ln /a/b/c/f /a/link
RUN chmod 700 /a/b && mv /a/b/c /a/moved && echo 2 >>/a/link
RUN rm -r /a/moved && mkdir /a/moved && ln -s /etc /a/moved/etc && chown app /etc/passwd
RUN cp -r /etc /copy && rm -r /root && echo x >/root
RUN mkfifo /pipe && touch -d '1990-01-01 00:00:00' /bin/busybox
"""


def test_every_tracker_gives_the_same_layers_byte_for_byte(workshop: Workshop) -> None:
    results = [
        workshop.build(
            MUTATIONS, tracker=tracker, store=workshop.store / tracker, build_args=args(SOURCE_DATE_EPOCH="1000000000")
        )
        for tracker in ("inotify", "scan")
    ]
    assert len(results[0].layers) == 5
    assert results[0].diff_ids() == results[1].diff_ids()
    assert results[0].built.manifest == results[1].built.manifest


def test_source_date_epoch_bounds_new_times_only(workshop: Workshop) -> None:
    text = "FROM base\nRUN echo a >/f && touch -d 1999-01-01 /etc\n"
    result = workshop.build(text, build_args=args(SOURCE_DATE_EPOCH="1000000000"))
    times = {member.name: member.mtime for member in result.members(result.layers[0])}
    assert times["f"] == 1000000000
    assert times["etc"] < 1000000000
    created = result.built.image.created
    assert created is not None
    assert created.timestamp() == 1000000000


def test_d1_files_linked_in_one_copy_stay_linked(workshop: Workshop) -> None:
    os.link(workshop.write("d/f"), workshop.context / "d/g")
    result = workshop.build("FROM base\nCOPY d /d\n")
    links = {member.name: member.linkname for member in result.members(result.layers[0]) if member.islnk()}
    assert links == {"d/g": "d/f"}


def test_f17_a_stage_copied_whole_brings_nothing_that_was_mounted(workshop: Workshop) -> None:
    text = (
        "FROM base AS a\nWORKDIR /proc\nWORKDIR /sys\nWORKDIR /dev\nRUN echo x >/f\nFROM scratch\nCOPY --from=a / /\n"
    )
    (names,) = workshop.build(text).names()
    assert {"f", "proc", "sys", "dev"} <= set(names)
    assert [name for name in names if name.startswith(("proc/", "sys/", "dev/"))] == []


def test_k11_more_layers_than_a_mount_takes_lower_directories(workshop: Workshop) -> None:
    for number in range(130):
        workshop.write(f"d/{number}")
    text = "FROM base\n" + "".join(f"COPY d/{number} /d/\n" for number in range(130))
    assert len(workshop.build(text).layers) == 130
    result = workshop.build(text + "RUN cat /d/* >/all\n")
    assert result.recorder.statuses() == ["cached"] * 130 + ["done"]
    assert result.text(result.layers[-1], "all") == "x\n" * 130


def test_f4_context_files_are_roots_and_stage_files_keep_their_owner(workshop: Workshop) -> None:
    os.chown(workshop.write("f"), 12, 34)
    result = workshop.build(
        "FROM base AS a\nRUN echo x >/g && chown 5:6 /g\n"
        "FROM base\nCOPY f /f\nCOPY --from=a /g /g\nCOPY --chown=app f /h\n"
    )
    owners = [(m.uid, m.gid) for layer in result.layers for m in result.members(layer) if m.isfile()]
    assert owners == [(0, 0), (5, 6), (1000, 1000)]


ADDED = ("gz.txt", "bz2.txt", "xz.txt", "zst.txt", "no.tar.gz", "text.tar")


def test_archives_are_told_by_content_and_others_copied(workshop: Workshop) -> None:
    import bz2
    import gzip
    import lzma

    import zstandard

    plain = tar_of({"in": "x"})
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": zstandard.compress,
    }
    for name, pack in packers.items():
        workshop.write(f"{name}.txt", pack(plain))
    workshop.write("no.tar.gz", "")
    workshop.write("text.tar", "text")
    lines = "".join(f"ADD {name} /{name}/\n" for name in ADDED)
    names = workshop.build(f"FROM scratch\n{lines}").names()
    assert [layer[-1] for layer in names] == [
        "gz.txt/in",
        "bz2.txt/in",
        "xz.txt/in",
        "zst.txt/in",
        "no.tar.gz/no.tar.gz",
        "text.tar/text.tar",
    ]


def test_f13_an_ignore_file_hides_and_never_deletes(workshop: Workshop) -> None:
    workshop.write(".dockerignore", "*\n!keep\n")
    workshop.write("keep/a")
    workshop.write("drop/b")
    result = workshop.build("FROM scratch\nCOPY . /\n")
    assert result.names() == [["keep", "keep/a"]]
    assert (workshop.context / "drop/b").exists()
