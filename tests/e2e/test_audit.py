"""--audit: a tracker that misses something is caught by name, and builds whose trackers miss nothing pass."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from fswatch_builder._native import Baseline, ChangeSet, HintSet, Rootfs, UnpackedLayer, unpack_layer
from fswatch_builder.build import unpacking, worksite
from fswatch_builder.build.events import StepNote
from fswatch_builder.errors import AuditError
from fswatch_builder.tracking import selection
from fswatch_builder.tracking.protocol import Capability, Session, Tracker
from fswatch_builder.tracking.registry import trackers
from tests.support.builds import Workshop
from tests.support.cli import fswatch_builder
from tests.support.debian import debian_tar, missing_tools

pytestmark = pytest.mark.root


class OneEyed:
    """The inotify tracker, whose session does not tell everything: ``drops`` says what it keeps to itself."""

    name = "one-eyed"
    in_place = True
    anonymous = "it has one eye"
    on_overlay = True

    def __init__(self, drops: Callable[[bytes], bool]) -> None:
        self.drops = drops

    def probe(self, rootfs: Rootfs) -> Capability:
        return Capability(usable=True, reason="a test")

    def arm(self, rootfs: Rootfs, baseline: Baseline) -> Session:
        return OneEyedSession(trackers()["inotify"].arm(rootfs, baseline), self.drops)


class OneEyedSession:
    tracker = OneEyed.name
    needs_link_witness = False

    def __init__(self, session: Session, drops: Callable[[bytes], bool]) -> None:
        self.session = session
        self.rootfs = session.rootfs
        self.drops = drops

    @property
    def events(self) -> int | None:
        return self.session.events

    def settle(self) -> HintSet:
        told = HintSet()
        for path, scope in self.session.settle().hints:
            if not self.drops(path):
                told.add(path, scope)
        return told

    def advance(self, baseline: Baseline, changes: ChangeSet) -> None:
        self.session.advance(baseline, changes)

    def close(self) -> None:
        self.session.close()


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[bytes], bool]], None]:
    """Registers a tracker that drops what a predicate names."""

    def register(drops: Callable[[bytes], bool]) -> None:
        known: Mapping[str, Tracker] = MappingProxyType({**trackers(), OneEyed.name: OneEyed(drops)})
        monkeypatch.setattr(selection, "trackers", lambda: known)

    return register


LINES = "FROM base\nRUN mkdir /d && echo 1 >/d/f && echo 2 >/d/g\nRUN chmod 600 /d/f && echo 3 >>/d/g\nRUN rm /d/g\n"


def test_a_hint_that_is_dropped_stops_the_build_and_is_named(
    workshop: Workshop, hide: Callable[[Callable[[bytes], bool]], None]
) -> None:
    hide(lambda path: path == b"d/g")
    with pytest.raises(AuditError) as caught:
        workshop.build(LINES, tracker=OneEyed.name, audit=True)
    *told, tracker, losses = caught.value.what.split("\n")
    assert told == [
        "the audit disagrees about 1 path: the changes found are not those on disk",
        "/d/g: expected modified (content, mtime), found nothing",
        "    hints near it: /d/f (entry)",
    ]
    assert re.fullmatch(r"tracker one-eyed, \d+ hints", tracker)  # mount points of the RUN among them
    assert losses == "losses: none"
    assert str(caught.value.where).endswith("Dockerfile:3")


def test_nothing_of_the_step_that_disagrees_is_kept(
    workshop: Workshop, hide: Callable[[Callable[[bytes], bool]], None]
) -> None:
    hide(lambda path: path == b"d/g")
    with pytest.raises(AuditError):
        workshop.build(LINES, tracker=OneEyed.name, audit=True)
    blobs = set(os.listdir(workshop.store / "blobs/sha256"))
    with pytest.raises(AuditError):
        workshop.build(LINES, tracker=OneEyed.name, audit=True)
    assert set(os.listdir(workshop.store / "blobs/sha256")) == blobs
    good = workshop.build(LINES)
    assert good.recorder.statuses() == ["cached", "done", "done"]


def test_without_the_audit_it_goes_unseen_which_is_what_the_audit_is_for(
    workshop: Workshop, hide: Callable[[Callable[[bytes], bool]], None]
) -> None:
    hide(lambda path: path == b"d/g")
    assert workshop.build(LINES, tracker=OneEyed.name).names()[1] == ["d", "d/f"]


def test_a_baseline_that_is_not_the_unpacked_base_is_caught_before_the_first_step(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(
        rootfs: Rootfs, baseline: Baseline, fd: int, *, max_bytes: int | None = None, max_entries: int | None = None
    ) -> UnpackedLayer:
        unpacked = unpack_layer(rootfs, baseline, fd, max_bytes=max_bytes, max_entries=max_entries)
        os.chmod(os.path.join(rootfs.path, b"etc/passwd"), 0o600)
        return unpacked

    monkeypatch.setattr(unpacking, "unpack_layer", unpack)
    with pytest.raises(AuditError) as caught:
        workshop.build("FROM base\nRUN true\n", audit=True)
    assert "/etc/passwd: expected mode 0600, found mode 0644" in caught.value.what
    assert "the baseline does not record what is on disk" in caught.value.what


def test_a_baseline_that_forgets_a_step_is_caught_after_it(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worksite.Worksite, "advance", lambda self, changes, layer: None)
    with pytest.raises(AuditError) as caught:
        workshop.build("FROM base\nRUN echo 1 >/new\n", audit=True)
    assert "/new: expected file, found nothing" in caught.value.what
    assert workshop_steps(workshop) == 0


def workshop_steps(workshop: Workshop) -> int:
    """Cached steps: a build without --audit and one step has to do it again if there are none."""
    return workshop.build("FROM base\nRUN echo 1 >/new\n").recorder.statuses().count("cached")


@pytest.mark.parametrize("tracker", sorted(trackers()))
def test_a_build_of_every_kind_of_step_passes_under_every_tracker(workshop: Workshop, tracker: str) -> None:
    workshop.write("f", "content of f\n")
    workshop.write("d/sub/g")
    os.link(workshop.context / "f", workshop.context / "d/f")
    result = workshop.build(
        "FROM base AS first\n"
        "RUN mkdir /x && echo 1 >/x/a && ln /x/a /x/b && ln -s a /x/s && mkfifo /x/p\n"
        "COPY f /x/a\n"
        "COPY f /x/a\n"
        "COPY d /x/\n"
        "WORKDIR /x/sub/w\n"
        "RUN true\n"
        "RUN mv /x/sub /y && rm /x/a && chmod 700 /x && touch -h -d 2001-01-01 /x/s\n"
        "FROM base\n"
        "COPY --from=first /x /y /z/\n"
        "RUN rm -r /z/w && echo 2 >/z/g\n",
        tracker=tracker,
        audit=True,
    )
    notes = [event.text for event in result.recorder.events if isinstance(event, StepNote)]
    agreed = [note for note in notes if note.startswith("audit: ") and " agree, " in note]
    assert len(agreed) == 9
    assert len([note for note in notes if note.startswith("audit: ") and " recorded, " in note]) == 2


def test_layers_from_the_cache_are_audited_once_they_are_unpacked(workshop: Workshop) -> None:
    workshop.build("FROM base\nRUN echo 1 >/a\n")
    result = workshop.build("FROM base\nRUN echo 1 >/a\nRUN echo 2 >/b\n", audit=True)
    assert result.recorder.statuses() == ["cached", "done"]
    notes = [event.text for event in result.recorder.events if isinstance(event, StepNote)]
    assert [note.split(" ")[3] for note in notes if note.startswith("audit")] == ["recorded,", "agree,"]


def test_the_command_line_says_that_it_agrees_and_ends_with_a_status_of_its_own_if_not(
    workshop: Workshop, tmp_path: Path
) -> None:
    """What a lossy mode misses is a real difference: the audit needs no broken tracker to find one."""
    old = "touch -d '2001-01-01 00:00:00' /f"
    lines = f"FROM base\nRUN echo a >/f && {old}\nRUN echo b >/f && {old}\n"
    (workshop.context / "Dockerfile").write_text(lines)
    options = ["--build-context", f"base={workshop.base}", "--audit", "--progress", "plain"]
    good = fswatch_builder("build", *options, "--store", f"{tmp_path}/good", str(workshop.context))
    assert " entries agree, " in good.stderr
    iid = tmp_path / "iid"
    bad = fswatch_builder(
        *("build", *options, "--hash", "none", "--store", f"{tmp_path}/bad", "--iidfile", str(iid)),
        str(workshop.context),
        check=False,
    )
    assert bad.returncode == 11
    assert "ERROR: the audit disagrees about 1 path" in bad.stderr
    assert "  /f: expected modified (content), found nothing\n" in bad.stderr
    assert "   3 | RUN echo b >/f" in bad.stderr
    assert not iid.exists()
    assert bad.stdout == ""


@pytest.mark.network
@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(missing_tools("mmdebstrap")), reason="mmdebstrap is not installed")
@pytest.mark.parametrize("tracker", sorted(trackers()))
def test_a_package_installed_on_debian_passes_under_every_tracker(tmp_path: Path, tracker: str) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM base\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends hello\n"
        "RUN rm -rf /var/lib/apt/lists && hello >/greeting\n"
    )
    done = fswatch_builder(
        *("build", "--build-context", f"base={debian_tar()}", "--tracker", tracker, "--audit", "--progress", "plain"),
        *("--store", f"{tmp_path}/store", str(tmp_path)),
    )
    assert done.stderr.count(" entries agree, ") == 2
    assert subprocess.run(["grep", "-c", "Setting up hello"], input=done.stderr, text=True, check=True)
