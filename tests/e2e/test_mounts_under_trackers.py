"""Mounts of a RUN under every tracker: the layer is what the RUN did outside of them, byte for byte (B2, B3)."""

import os

import pytest

from fswatch_builder._native import Rootfs
from fswatch_builder.build.mounting import Lent
from fswatch_builder.model.sandbox import SECURITY_INSECURE, SandboxOptions
from fswatch_builder.tracking.registry import trackers
from tests.support.builds import Result, Workshop, args

pytestmark = pytest.mark.root

EVERYTHING = (
    "RUN --mount=type=cache,target=/a/cache --mount=type=tmpfs,target=/a/b/tmp --mount=source=d,target=/etc/bound,rw"
    " --mount=from=base,source=/etc/passwd,target=/etc/passwd --mount=type=secret,id=s,target=/a/b/secret"
    " --mount=type=cache,id=in,target=/etc/bound/cache --mount=source=d,target=/home/app"
)

#: Unmounting is lazy, for the builder may not have closed its descriptor of the mount yet.
#: Name: what is done, members of each layer. `mark` is a RUN of which only its file may be left.
CASES: dict[str, tuple[str, list[list[str]]]] = {
    "nothing is done": (f"{EVERYTHING} true\n", []),
    "all of them are written to": (
        f"{EVERYTHING} mkdir /a/cache/x; echo x >/a/cache/x/f; ln /a/cache/x/f /a/cache/l; echo x >/a/b/tmp/f;"
        " rm /etc/bound/f; echo x >/etc/bound/g; echo x >/etc/bound/cache/f; cat /a/b/secret\n",
        [],
    ),
    "something is made beside them": (
        f"{EVERYTHING} echo x >/a/f; echo x >/a/b/g; echo x >/etc/h\n",
        [["a", "a/b", "a/b/g", "a/f", "etc", "etc/h"]],
    ),
    "what is around them is moved": (
        "RUN mkdir -p /p/q\nRUN --mount=type=cache,target=/p/q/c mv /p /r; mkdir /p\n",
        [["p", "p/q"], ["p", "p/.wh.q", "r", "r/q"]],
    ),
    "a place that was there is used and stays": (
        "RUN mkdir /c && echo own >/c/own\nRUN --mount=type=cache,target=/c rm -rf /c/*; echo x >/c/f\n",
        [["c", "c/own"]],
    ),
    "the place is removed in the next step": (
        "RUN mkdir /c\nRUN --mount=type=cache,target=/c echo x >/c/f\nRUN rmdir /c\n",
        [["c"], [".wh.c"]],
    ),
    "a link is the place": (
        "RUN mkdir /real && ln -s /real /l\nRUN --mount=type=cache,target=/l/c echo x >/l/c/f; echo x >/real/g\n",
        [["l", "real"], ["real", "real/g"]],
    ),
    "files move out of a cache": (
        "RUN --mount=type=cache,target=/c mkdir -p /c/d && echo x >/c/d/f && cp -a /c/d /d && mv /c/d/f /f\n",
        [["d", "d/f", "f"]],
    ),
    "a write through a link of a file that a mount covers": (
        "RUN echo 1 >/e && ln /e /m\nRUN --mount=source=d/f,target=/m echo 2 >>/e\n",
        [["e", "m"], ["e", "m"]],
    ),
    "the mount point is replaced without a sandbox": (
        "RUN --security=insecure --mount=type=tmpfs,target=/t/m umount /t/m && rmdir /t/m && echo x >/t/m\n",
        [["t", "t/m"]],
    ),
    "the mount point is renamed without a sandbox": (
        "RUN --security=insecure --mount=type=tmpfs,target=/t/m umount /t/m && mv /t/m /t/n\n",
        [["t", "t/n"]],
    ),
    "a file of ours is linked without a sandbox": (
        "RUN --security=insecure --mount=type=secret,id=s umount /run/secrets/s && ln /run/secrets/s /l\n",
        [["l"]],
    ),
    "the parent is gone without a sandbox": (
        "RUN --security=insecure --mount=type=tmpfs,target=/t/m umount /t/m && rm -r /t && mkdir /t && touch /t/m\n",
        [["t", "t/m"]],
    ),
}


@pytest.fixture(scope="module")
def usable(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The trackers that work here, found by trying."""
    path = tmp_path_factory.mktemp("probed") / "rootfs"
    path.mkdir()
    found = [name for name, tracker in trackers().items() if tracker.probe(Rootfs(os.fsencode(path))).usable]
    assert {"scan", "inotify"} <= set(found)
    return found


def built(workshop: Workshop, lines: str, tracker: str) -> Result:
    return workshop.build(
        f"FROM base\n{lines}",
        tracker=tracker,
        store=workshop.store / tracker,
        build_args=args(SOURCE_DATE_EPOCH="1000000000"),
        lent=Lent(secrets={"s": b"hunter2"}),
        sandbox=SandboxOptions(allowed=frozenset((SECURITY_INSECURE,))),
    )


@pytest.mark.parametrize("name", CASES)
def test_b2_b3_no_mount_leaves_a_trace_under_any_tracker(workshop: Workshop, usable: list[str], name: str) -> None:
    lines, members = CASES[name]
    workshop.write("d/f", "of the context\n")
    results = [built(workshop, lines, tracker) for tracker in usable]
    assert [sorted(layer) for layer in results[0].names()] == [sorted(layer) for layer in members]
    for result in results[1:]:
        assert result.diff_ids() == results[0].diff_ids()
        assert result.built.manifest == results[0].built.manifest


def test_the_time_of_a_directory_does_not_tell_that_something_was_mounted_in_it(
    workshop: Workshop, usable: list[str]
) -> None:
    workshop.write("d/f")
    text = "RUN touch -d @1000 /etc /home\n" + f"{EVERYTHING} true\n" + "RUN stat -c %Y /etc /home\n"
    for tracker in usable:
        result = built(workshop, text, tracker)
        assert result.recorder.printed() == "1000\n1000\n"
        assert result.names() == [["etc", "home"]]
