"""Builds whose steps run on an overlay: what other builders on overlays get wrong, and that nothing stays behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fswatch_builder.errors import RunError
from tests.support.builds import Result, Workshop, args
from tests.support.overlays import needs_overlay_tracker

pytestmark = [pytest.mark.root, needs_overlay_tracker]

EPOCH = args(SOURCE_DATE_EPOCH="1000000000")


def build(workshop: Workshop, lines: str) -> Result:
    """Under the overlay and under a scan in place, in a store each: equal images, and no workspace left."""
    results = [
        workshop.build(
            lines,
            tracker=tracker,
            keep_bases=tracker == "overlay",
            store=workshop.store / tracker,
            build_args=EPOCH,
        )
        for tracker in ("overlay", "scan")
    ]
    assert results[0].names() == results[1].names()
    assert results[0].built.manifest == results[1].built.manifest
    assert leftovers(workshop.store / "overlay") == []
    return results[0]


def leftovers(store: Path) -> list[str]:
    return [name for name in os.listdir(store / "work") if name != ".lock"]


def links(result: Result, number: int) -> dict[str, str]:
    """The members of a layer, and what they are hard links to."""
    return {member.name: member.linkname for member in result.members(result.layers[number])}


def test_d5_a_file_of_the_base_written_through_one_name_is_in_the_layer_with_all_its_names_linked(
    workshop: Workshop,
) -> None:
    result = build(
        workshop,
        "FROM base AS linked\nRUN mkdir /l && echo 1 >/l/a && ln /l/a /z && ln /l/a /tmp/m\n"
        "FROM linked\nRUN echo 2 >>/z\nRUN rm /l/a && echo 3 >>/tmp/m\nRUN echo 4 >>/z && chmod 600 /z\n",
    )
    one, two, three = (links(result, number) for number in range(-3, 0))
    assert one == {"l": "", "l/a": "", "tmp": "", "tmp/m": "l/a", "z": "l/a"}
    assert two == {"l": "", "l/.wh.a": "", "tmp": "", "tmp/m": "", "z": "tmp/m"}
    assert three == {"tmp": "", "tmp/m": "", "z": "tmp/m"}
    assert result.text(result.layers[-1], "tmp/m") == "1\n2\n3\n4\n"


def test_a_cached_step_after_one_that_was_done_goes_on_top_of_what_that_one_wrote(workshop: Workshop) -> None:
    """The step that makes nothing misses, the cached layer is unpacked on it, and a RUN sees all of it."""
    workshop.write("f", "content\n")
    cached = "FROM base\nRUN echo 1 >/one && rm /etc/group\nRUN mkdir /d && echo 2 >/d/two && ln /d/two /d/link\n"
    last = "RUN cat /one /d/two && echo 3 >>/d/link && rm /one && test ! -e /etc/group\n"
    for tracker in ("overlay", "scan"):
        workshop.build(cached, tracker=tracker, store=workshop.store / tracker, build_args=EPOCH)
    first = cached.replace("RUN mkdir", "RUN true\nRUN mkdir") + last
    result = build(workshop, first)
    assert result.recorder.statuses() == ["cached", "done", "cached", "done"]
    assert result.names()[2:] == [[".wh.one", "d", "d/link", "d/two"]]
    assert "1\n2\n" in result.recorder.printed()


def test_a_later_stage_copies_from_and_goes_on_with_what_an_overlay_holds(workshop: Workshop) -> None:
    workshop.write("t/f", "from the context\n")
    result = build(
        workshop,
        "FROM base AS made\nCOPY t /t\n"
        "RUN mkdir /out && echo 1 >/out/f && ln /out/f /out/g && rm -r /home && mv /t /moved\n"
        "COPY t /t\nRUN echo 2 >>/out/g\n"
        "FROM base AS other\nCOPY --from=made /out /got\nCOPY --from=made /moved /t /both/\nRUN cat /got/f >/both/new\n"
        "FROM made\nRUN echo 3 >>/out/f\nCOPY --from=other /both /both\n",
    )
    assert result.text(result.layers[-2], "out/f") == "1\n2\n3\n"
    assert result.names()[-1] == ["both", "both/f", "both/new"]
    assert result.text(result.layers[-1], "both/new") == "1\n2\n"


def test_a_run_that_changes_nothing_makes_no_layer_though_files_were_copied_up(workshop: Workshop) -> None:
    lines = (
        "FROM base\nRUN true\n"
        # Opened for writing and left alone; written with the same bytes and times; linked and unlinked.
        "RUN : >>/etc/group; chmod 644 /etc/passwd; ls -lR / >/dev/null 2>&1\n"
        "RUN touch -d '2001-01-01 00:00:00' /etc /tmp\n"
        "RUN mv /etc/group /tmp/g && mv /tmp/g /etc/group && mkdir /etc/d && mv /etc /tmp/e && mv /tmp/e /etc"
        " && rmdir /etc/d && touch -d '2001-01-01 00:00:00' /etc /tmp\n"
    )
    assert build(workshop, lines).names() == [["etc", "tmp"]]


def test_c7_a_directory_made_anew_shows_nothing_of_the_old_one(workshop: Workshop) -> None:
    result = build(
        workshop,
        "FROM base\nRUN rm -r /home && mkdir /home && echo x >/home/new\n"
        "RUN rm -r /home && mkdir /home && echo y >/home/newer\nRUN rm -r /home\nRUN mkdir /home\n",
    )
    assert result.names() == [
        ["home", "home/.wh.app", "home/new"],
        ["home", "home/.wh.new", "home/newer"],
        [".wh.home"],
        ["home"],
    ]


def test_e11_nothing_of_the_overlay_s_own_attributes_gets_into_a_layer(workshop: Workshop) -> None:
    """Opaque, redirected, copied up, linked: each bears ``trusted.overlay.*`` in the upper directory."""
    result = build(
        workshop,
        "FROM base\nRUN mkdir /l && echo 1 >/l/a && ln /l/a /z\n"
        "RUN mv /etc /moved && rm -r /home && mkdir /home && echo 2 >>/z && chmod 700 /root && mv /l /k\n",
    )
    members = [member for layer in result.layers for member in result.members(layer)]
    assert len(members) > 8
    assert [member.name for member in members if member.pax_headers] == []


def test_a_failing_run_leaves_no_workspace(workshop: Workshop) -> None:
    with pytest.raises(RunError):
        workshop.build("FROM base\nRUN echo x >/f && mv /etc /moved && exit 3\n", tracker="overlay")
    assert leftovers(workshop.store) == []


def test_the_note_says_that_steps_run_on_an_overlay(workshop: Workshop) -> None:
    result = workshop.build("FROM base\nRUN true\n", tracker="overlay")
    notes = [str(event) for event in result.recorder.events if "changes are found by" in str(event)]
    assert len(notes) == 1
    assert "overlay: steps run on an overlay" in notes[0]


# -- ends -------------------------------------------------------------------------------------------------------------


@contextmanager
def started(workshop: Workshop) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A build in the middle of a RUN, and its workspace."""
    workshop.write("Dockerfile", "FROM base\nRUN echo x >/started && mv /etc /moved && echo ready && sleep 1000\n")
    command = [
        *(sys.executable, "-m", "fswatch_builder", "build", str(workshop.context), "--tracker", "overlay"),
        *("--progress", "plain", "--store", str(workshop.store), "--build-context", f"base={workshop.base}"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            while not (line := process.stderr.readline()).endswith(b" ready\n"):
                assert line, "it ended before its RUN"
            (layers,) = (workshop.store / "work").glob("*/overlay-*")
            yield process, layers.parent
        finally:
            process.kill()


def can_be_mounted(workspace: Path) -> bool:
    """Whether overlayfs lets go of the upper directory: it refuses one that another overlay has (EBUSY)."""
    (layers,) = workspace.glob("overlay-*")
    shutil.rmtree(layers / "work/work/incompat", ignore_errors=True)  # says that nothing was synced
    (lower,) = (workspace.parent.parent / "kept/tree").glob("*/rootfs")
    options = f"index=on,lowerdir={lower},upperdir={layers}/upper,workdir={layers}/work"
    command = ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_killed_build_leaves_no_mount_and_the_next_one_removes_its_files(workshop: Workshop) -> None:
    with started(workshop) as (process, workspace):
        assert not can_be_mounted(workspace)  # this test can fail
        process.kill()
        process.wait(timeout=20)
        # The RUN dies with it (PR_SET_PDEATHSIG), which it may take a moment to notice.
        deadline = time.monotonic() + 20
        while not can_be_mounted(workspace):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    workshop.build("FROM base\nRUN true\n", tracker="overlay")
    assert leftovers(workshop.store) == []


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_build_that_is_interrupted_leaves_no_workspace(workshop: Workshop, sent: signal.Signals, status: int) -> None:
    with started(workshop) as (process, _):
        process.send_signal(sent)
        process.communicate(timeout=20)
        assert process.returncode == status
    assert leftovers(workshop.store) == []
