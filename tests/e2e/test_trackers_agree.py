"""The cases that others got wrong, each under every tracker: what is in the layers, and that they are the same."""

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder.build.events import StepFinished
from fswatch_builder.model.digest import Digest
from fswatch_builder.tracking.protocol import Session
from fswatch_builder.tracking.strategies import inotify as inotify_strategy
from tests.support.builds import Result, Workshop, args
from tests.support.overlays import HERE, OVERLAY

pytestmark = pytest.mark.root

#: Trackers, and whether the base is kept: then they look at the merged view of an overlay.
WAYS = [("inotify", False), ("scan", False)] + ([("overlay", True), ("inotify", True)] if HERE else [])
EPOCH = "1000000000"
OLD = "2001-01-01 00:00:00"


def tar_of(names: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            info.mtime = 900_000_000
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


Build = Callable[[str], Result]


@pytest.fixture
def build(workshop: Workshop) -> Build:
    """Builds in each of the ways, in a store each, and gives the first's result if the images are equal."""
    workshop.write("f", "content of f\n")
    workshop.write("d/sub/g")
    workshop.write("t.tar", tar_of({"h": "h", "etc/new": "n"}))

    def build_with_each(lines: str) -> Result:
        results = [
            workshop.build(
                f"FROM base\n{lines}",
                tracker=tracker,
                keep_bases=keep,
                store=workshop.store / f"{tracker}-{keep}",
                build_args=args(SOURCE_DATE_EPOCH=EPOCH),
            )
            for tracker, keep in WAYS
        ]
        for result in results[1:]:
            assert result.names() == results[0].names()
            assert result.diff_ids() == results[0].diff_ids()
            assert result.built.manifest == results[0].built.manifest
        return results[0]

    return build_with_each


#: Name: lines, members of each layer. `mark` makes a RUN of which nothing but its file may be left, so that what was
#: written before cannot show up late.
def mark(number: int) -> str:
    return f"RUN echo {number} >/mark{number}\n"


CASES: dict[str, tuple[str, list[list[str]]]] = {
    "three identical COPYs": ("COPY f /a\n" * 3, [["a"]] * 3),
    "three identical ADDs": ("ADD f /a\n" * 3, [["a"]] * 3),
    "three identical ADDs of an archive": ("ADD t.tar /x/\n" * 3, [["x", "x/etc", "x/etc/new", "x/h"]] * 3),
    "three identical COPYs between RUNs": (
        mark(1) + "COPY f /a\n" + mark(2) + "COPY f /a\n" + mark(3) + "COPY f /a\n",
        [["mark1"], ["a"], ["mark2"], ["a"], ["mark3"], ["a"]],
    ),
    "COPY --link between RUNs": (
        mark(1) + "COPY --link f /x/\n" + mark(2) + "COPY --link f /x/\n" + mark(3),
        [["mark1"], ["x", "x/f"], ["mark2"], ["x", "x/f"], ["mark3"]],
    ),
    "COPY --parents --exclude between RUNs": (
        mark(1) + "COPY --parents --exclude=none d/./sub /x/\n" + mark(2),
        [["mark1"], ["x", "x/sub", "x/sub/g"], ["mark2"]],
    ),
    "COPY f /": (mark(1) + "COPY f /\n" + mark(2), [["mark1"], ["f"], ["mark2"]]),
    "COPY d/ /": (mark(1) + "COPY d/ /\n" + mark(2), [["mark1"], ["sub", "sub/g"], ["mark2"]]),
    "ADD t.tar /": (mark(1) + "ADD t.tar /\n" + mark(2), [["mark1"], ["etc", "etc/new", "h"], ["mark2"]]),
    "WORKDIR where there is none": (
        mark(1) + "WORKDIR /w/v\n" + mark(2) + "WORKDIR /w\nWORKDIR /etc\n" + mark(3),
        [["mark1"], ["w", "w/v"], ["mark2"], ["mark3"]],
    ),
    "a4 chown alone": ("RUN chown app /etc/group\n", [["etc", "etc/group"]]),
    "a2 old times": (
        f"RUN mkdir /o && echo x >/o/f && touch -d '{OLD}' /o/f /o\n" + mark(1),
        [["o", "o/f"], ["mark1"]],
    ),
    "a2 tar -x with old times": (
        "COPY f t.tar /tmp/\nRUN tar -xf /tmp/t.tar -C /home/app\n" + mark(1),
        [
            ["tmp", "tmp/f", "tmp/t.tar"],
            ["home", "home/app", "home/app/etc", "home/app/etc/new", "home/app/h"],
            ["mark1"],
        ],
    ),
    "a5 add, remove, add the same again": (
        "COPY f /a\nRUN rm /a\nCOPY f /a\n" + mark(1),
        [["a"], [".wh.a"], ["a"], ["mark1"]],
    ),
    "a6 a directory in /var/run": ("RUN mkdir -p /var/run/x\n", [["var", "var/run", "var/run/x"]]),
    "a7 a write through an absolute link": (
        "RUN mkdir /run && ln -s /run /etc/run\nRUN echo x >/etc/run/f\n" + mark(1),
        [["etc", "etc/run", "run"], ["run", "run/f"], ["mark1"]],
    ),
    "a8 a directory that becomes a link has siblings": (
        "RUN mkdir /p /p/q /p/r && echo x >/p/r/f\nRUN rm -r /p/q && ln -s /etc /p/q && echo y >>/p/r/f\n",
        [["p", "p/q", "p/r", "p/r/f"], ["p", "p/q", "p/r", "p/r/f"]],
    ),
    "a9 a path that exists on the host": ("RUN mkdir -p /usr/share\n", [["usr", "usr/share"]]),
    "a10 a write to /run": ("RUN mkdir -p /run/lock && echo x >/run/f\n", [["run", "run/f", "run/lock"]]),
    "a11 a deep tree at once": (
        "RUN mkdir -p /a/b/c && echo x >/a/b/c/f\n" + mark(1),
        [["a", "a/b", "a/b/c", "a/b/c/f"], ["mark1"]],
    ),
    "a13 a write in a moved directory": (
        "RUN mkdir -p /m/n && echo x >/m/n/f\nRUN mv /m /k && echo y >>/k/n/f\nRUN echo z >>/k/n/f\n" + mark(1),
        [["m", "m/n", "m/n/f"], [".wh.m", "k", "k/n", "k/n/f"], ["k", "k/n", "k/n/f"], ["mark1"]],
    ),
    "a14 a directory made anew": (
        "RUN mkdir /d && echo 1 >/d/f\nRUN rm -r /d && mkdir /d\nRUN echo 2 >/d/g\n" + mark(1),
        [["d", "d/f"], ["d", "d/.wh.f"], ["d", "d/g"], ["mark1"]],
    ),
    "a17 same size, same times, other bytes": (
        f"RUN echo a >/e && touch -d '{OLD}' /e\nRUN echo b >/e && touch -d '{OLD}' /e\n" + mark(1),
        [["e"], ["e"], ["mark1"]],
    ),
    "a20 a write through another link": (
        "RUN mkdir /l && echo 1 >/l/a && ln /l/a /z\nRUN echo 2 >>/z\n" + mark(1),
        [["l", "l/a", "z"], ["l", "l/a", "z"], ["mark1"]],
    ),
    "a20 a write through a link that is gone": (
        "RUN mkdir /l && echo 1 >/l/a\nRUN ln /l/a /z && echo 2 >>/z && rm /z\n"
        "RUN mkdir /n && ln /l/a /n/z && chmod 600 /n/z && rm -r /n\n" + mark(1),
        [["l", "l/a"], ["l", "l/a"], ["l", "l/a"], ["mark1"]],
    ),
    "a write through a link whose directory goes": (
        "RUN mkdir /l && echo 1 >/l/a && ln /l/a /z\nRUN echo 2 >>/l/a && rm -r /l\n" + mark(1),
        [["l", "l/a", "z"], [".wh.l", "z"], ["mark1"]],
    ),
    "b1 RUN true": ("RUN true\n" + mark(1) + "RUN true\n", [["mark1"]]),
    "b4 made and removed, moved and moved back": (
        f"RUN touch -d '{OLD}' /tmp /etc\n"
        "RUN echo x >/tmp/x && rm /tmp/x && mv /etc/group /tmp/g && mv /tmp/g /etc/group"
        f" && touch -d '{OLD}' /tmp /etc\n" + mark(1),
        [["etc", "tmp"], ["mark1"]],
    ),
    "b5 reading is no change": ("RUN cat /etc/passwd /etc/group /bin/busybox >/dev/null; ls -lR /etc >/dev/null\n", []),
    "b7 one removal, one whiteout": (
        "RUN rm /etc/group\n" + mark(1) + "RUN rm -f /etc/group\n" + mark(2),
        [["etc", "etc/.wh.group"], ["mark1"], ["mark2"]],
    ),
    "b8 nothing but a directory's time": (
        f"RUN touch -d '{OLD}' /etc\nRUN touch -d '2002-02-02 00:00:00' /etc\n" + mark(1),
        [["etc"], ["etc"], ["mark1"]],
    ),
    "c6 a link goes with its target, a directory takes its name": (
        "RUN mkdir /t && echo x >/t/f && ln -s /t /l\nRUN rm -r /l /t && mkdir /l && echo y >/l/g\n" + mark(1),
        [["l", "t", "t/f"], [".wh.t", "l", "l/g"], ["mark1"]],
    ),
    "g10 a RUN in a VOLUME": (
        "RUN mkdir /v\nVOLUME /v\nRUN chmod 700 /v && echo x >/v/f\n" + mark(1),
        [["v"], ["v", "v/f"], ["mark1"]],
    ),
    "equal bytes written again": (
        f"RUN echo a >/e && touch -d '{OLD}' /e\nRUN echo a >/e\nRUN echo a >/e\n" + mark(1),
        [["e"], ["e"], ["e"], ["mark1"]],
    ),
    "COPY as last instruction": (mark(1) + "COPY f /last\n", [["mark1"], ["last"]]),
    "COPY alone": ("COPY f /last\n", [["last"]]),
    "COPY f /etc/resolv.conf": (
        mark(1) + "COPY f /etc/resolv.conf\n" + mark(2) + "RUN cat /etc/resolv.conf >/dev/null\n" + mark(3),
        [["mark1"], ["etc", "etc/resolv.conf"], ["mark2"], ["mark3"]],
    ),
    "what the builder writes over what a RUN wrote": (
        "RUN mkdir -p /x && echo 1 >/x/f\nCOPY f /x/f\nRUN true\nCOPY d /x\n" + mark(1),
        [["x", "x/f"], ["x", "x/f"], ["x", "x/sub", "x/sub/g"], ["mark1"]],
    ),
    "a RUN in what the builder made": (
        mark(1)
        + "WORKDIR /w\nRUN echo 1 >here\nCOPY d /v/\nRUN echo 2 >/v/sub/new\nADD t.tar /u/\nRUN rm /u/etc/new\n",
        [
            ["mark1"],
            ["w"],
            ["w", "w/here"],
            ["v", "v/sub", "v/sub/g"],
            ["v", "v/sub", "v/sub/new"],
            ["u", "u/etc", "u/etc/new", "u/h"],
            ["u", "u/etc", "u/etc/.wh.new"],
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_layers_hold_what_they_should_under_every_tracker(build: Build, name: str) -> None:
    lines, expected = CASES[name]
    assert build(lines).names() == expected


@pytest.mark.parametrize("tracker", ["inotify", "scan", OVERLAY])
def test_a18_a_daemon_that_goes_on_writing_is_dead_when_the_layer_is_made(workshop: Workshop, tracker: str) -> None:
    lines = "RUN (while :; do echo x >>/daemon; done) & while ! test -s /daemon; do :; done\n" + mark(1)
    assert workshop.build(f"FROM base\n{lines}", tracker=tracker).names() == [["daemon"], ["mark1"]]


def test_a_copied_resolv_conf_has_the_copied_content(build: Build) -> None:
    result = build("COPY f /etc/resolv.conf\nRUN cat /etc/hosts >/dev/null\n")
    assert result.text(result.layers[0], "etc/resolv.conf") == "content of f\n"


def test_b9_parents_are_listed_with_their_own_metadata(build: Build) -> None:
    result = build("RUN mkdir -p /p/q && chmod 711 /p && chown app /p/q && chmod 2750 /p/q\nRUN echo x >/p/q/f\n")
    members = {member.name: (member.uid, member.mode) for member in result.members(result.layers[1])}
    assert members == {"p": (0, 0o711), "p/q": (1000, 0o2750), "p/q/f": (0, 0o644)}


def test_b6_a_path_is_in_a_layer_once(build: Build) -> None:
    result = build("RUN for i in 1 2 3; do echo $i >/o; rm /o; mkdir /o; rmdir /o; done; echo x >/o; chmod 600 /o\n")
    assert result.names() == [["o"]]


@pytest.mark.parametrize("tracker", ["inotify", "scan", OVERLAY])
def test_a_hundred_rebuilds_give_the_same_layers_a_hundred_times(
    workshop: Workshop, tmp_path: Path, tracker: str
) -> None:
    """A small base: what varies is the timing of the watcher, not the tree."""
    base = tmp_path / "small"
    (base / "bin").mkdir(parents=True)
    (base / "bin/busybox").hardlink_to(workshop.base / "bin/busybox")
    (base / "bin/sh").symlink_to("busybox")
    small = Workshop(workshop.context, workshop.store, base)
    small.write("d/f")
    text = (
        "FROM base\nCOPY d /d\n"
        "RUN busybox mkdir -p /n/e/w && echo a >/n/e/w/f && echo b >/d/g && busybox rm /d/f && busybox mv /n /m\n"
        "COPY d /d\n"
    )
    seen: set[tuple[Digest, int]] = set()
    for _ in range(100):
        result = small.build(text, tracker=tracker, use_cache=False, build_args=args(SOURCE_DATE_EPOCH=EPOCH))
        seen.add((result.built.manifest.digest, len(result.layers)))
    assert len(seen) == 1
    assert {count for _, count in seen} == {3}


# -- losses, in a real build ------------------------------------------------------------------------------------------

BUSY = (
    "RUN mkdir -p /a/b/c /full && echo 1 >/a/b/c/f && ln /a/b/c/f /a/link && cd /full && seq 200 | xargs touch\n"
    "RUN mv /a/b /moved && echo 2 >>/moved/c/f && rm /a/link && mv /full /a/ && echo x >/a/full/7\n"
    "COPY d /a/full\n"
    "RUN rm -r /moved && mkdir /moved && mv /a/full/sub /moved && echo y >>/moved/sub/g\n"
)


def losses(result: Result) -> set[str]:
    return {
        reason
        for event in result.recorder.events
        if isinstance(event, StepFinished) and event.report is not None
        for reason, _ in event.report.losses
    }


def test_a_queue_that_overflows_in_a_build_changes_no_layer(
    build: Build, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is paused for the whole build; the RUN makes more events than the kernel keeps."""
    arm = inotify_strategy.InotifyTracker.arm

    def paused(self: inotify_strategy.InotifyTracker, *arguments: object) -> Session:
        session = arm(self, *arguments)  # type: ignore[arg-type]
        session.watches.pause()
        return session

    monkeypatch.setattr(inotify_strategy.InotifyTracker, "arm", paused)
    workshop.write("flood", "#!/bin/sh\nseq 9000 | while read i; do : >/etc/a; : >/etc/b; done; rm /etc/a /etc/b\n")
    lines = BUSY.replace("RUN mv", "RUN sh /flood; mv")
    result = build("COPY flood /flood\n" + lines)
    assert "queue-overflow" in losses(result)
    assert len(result.layers) == 5


@pytest.mark.parametrize("room", [0, 1, 3, 8])
def test_too_few_watches_in_a_build_change_no_layer(build: Build, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(inotify_strategy, "watch_budget", lambda needed, ours: room)
    result = build(BUSY)
    assert losses(result) == {"watch-limit"}
    assert len(result.layers) == 4


@pytest.mark.parametrize("room", [1, 5])
def test_the_command_says_what_was_lost_and_gives_the_same_image(workshop: Workshop, tmp_path: Path, room: int) -> None:
    """A namespace with a tiny limit cannot hold a RUN of root's: the budget stands for the limit."""
    workshop.write("d/sub/g")
    workshop.write("Dockerfile", f"FROM base\n{BUSY}")
    few = (
        "from fswatch_builder.tracking.strategies import inotify\n"
        f"inotify.watch_budget = lambda needed, ours: {room}\n"
        "from fswatch_builder.cli.app import main\nmain()\n"
    )
    images = {}
    for tracker in ("inotify", "scan"):
        command = [
            *(sys.executable, "-c", few, "build", str(workshop.context), "--tracker", tracker, "--progress", "plain"),
            *("--store", f"{tmp_path}/{tracker}", "--build-context", f"base={workshop.base}"),
            *("--iidfile", f"{tmp_path}/{tracker}.iid"),
        ]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        said = done.stdout + done.stderr
        assert bool(re.search(r"tracker inotify, \d+ hints?, [1-9]\d* loss", said)) == (tracker == "inotify"), said
        images[tracker] = (tmp_path / f"{tracker}.iid").read_text()
    assert images["inotify"] == images["scan"]
