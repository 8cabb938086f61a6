"""``track`` as a user types it: what it says about a command, where it says it, and how it ends."""

import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from fswatch_builder.tracking.registry import trackers
from tests.support.cli import fswatch_builder
from tests.support.tracking import IN_PLACE, SCRIPT, track


def changes(tree: Path, script: str, *arguments: str) -> dict[str, dict[str, object]]:
    document = json.loads(track(tree, "--json", *arguments, script=script).stdout)
    return {change["path"]: change for change in document["changes"]}


@pytest.mark.parametrize("tracker", IN_PLACE)
def test_the_report_names_each_change_once_sorted_and_says_what_differs(tree: Path, tracker: str) -> None:
    done = track(tree, "--tracker", tracker, "--audit")
    assert done.stdout == "the command speaks\n"
    lines = done.stderr.splitlines()
    assert lines[0] == "and complains"
    start = lines.index(f"changed below {tree}:")
    told = [re.sub(r"  +", "  ", line.strip()) for line in lines[start + 1 : start + 11]]
    assert told == [
        "M  etc/conf  content 4B -> 5B",
        "M  etc/conf-again  content 4B -> 5B",
        "R  etc/kind/  file -> directory 0755",
        "M  link  -> tool, was etc/conf",
        "A  new/  directory 0755",
        "A  new/f  3B 0644, 2 links",
        "A  new/g  3B 0644, 2 links",
        "D  old/  directory",
        "M  tool  mode 0644 -> 4755",
        "note: not shown: 1 directory whose time alone changed, by what is listed above (--all)",
    ]
    assert "3 added, 4 modified, 1 replaced, 1 deleted" in lines
    assert re.fullmatch(rf"exit status 0 after \S+; tracker {tracker}, .* in a tree of 9 entries", lines[-1])
    assert "audit: 9 entries agree" in lines


def test_all_trackers_find_the_same(tree: Path, tmp_path: Path) -> None:
    """Each on its own copy; inode numbers and times of what is new differ, what is told of the changes does not."""
    found = []
    for tracker in IN_PLACE:
        copy = tmp_path / tracker
        subprocess.run(["cp", "-a", tree, copy], check=True)
        told = changes(copy, SCRIPT, "--tracker", tracker)
        found.append([(path, change["kind"], change["why"]) for path, change in told.items()])
    assert all(other == found[0] for other in found)
    assert len(found[0]) == 10


def test_directories_whose_time_moved_with_their_entries_are_shown_when_asked_for(tree: Path) -> None:
    done = track(tree, "--all", script="echo 1 >etc/new")
    assert re.search(r"^  M  etc/ +mtime \S+ \S+ -> \S+ \S+$", done.stderr, re.MULTILINE)
    assert "not shown" not in done.stderr
    done = track(tree, script="echo 1 >etc/newer")
    assert not re.search(r"^  M  etc/ ", done.stderr, re.MULTILINE)
    # What came and went left no trace but the time, so that is shown.
    done = track(tree, script="echo 1 >etc/passing; rm etc/passing")
    assert re.search(r"^  M  etc/ +mtime", done.stderr, re.MULTILINE)


def test_a_command_that_changes_nothing_is_said_to(tree: Path) -> None:
    done = track(tree, script="cat etc/conf")
    assert done.stdout == "a=1\n"
    assert done.stderr.startswith(f"nothing changed below {tree}\n")


def test_the_exit_status_is_the_command_s_and_the_report_comes_all_the_same(tree: Path) -> None:
    done = track(tree, script="echo 1 >new; exit 7", check=False)
    assert done.returncode == 7
    assert "A  new" in done.stderr
    assert "exit status 7" in done.stderr
    done = track(tree, script="echo 2 >new; kill -TERM $$", check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert "M  new  content, 2B as before" in done.stderr


def test_what_cannot_be_run_is_told_before_anything_is_recorded(tree: Path) -> None:
    done = fswatch_builder("track", str(tree), "--", "no-such-command", check=False)
    assert (done.returncode, done.stderr) == (127, "ERROR: no-such-command: command not found\n")
    done = fswatch_builder("track", str(tree), "--", str(tree / "etc/conf"), check=False)
    assert done.returncode == 126
    (tree / "script").write_text("#!/no/interpreter\n")
    (tree / "script").chmod(0o755)
    done = fswatch_builder("track", str(tree), "--", str(tree / "script"), check=False)
    assert done.returncode in (126, 127)
    assert done.stderr.startswith("ERROR: ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{tree}",), "there is no command to track"),
        (("{tree}", "--"), "there is no command to track"),
        (("{tree}/tool", "true"), "is not a directory"),
        (("{tree}/missing", "true"), "is not a directory"),
        (("", "true"), "an empty name is not a directory"),
        (("--tracker", "fanotofy", "{tree}", "true"), "--tracker fanotofy"),
        (("--json", "--layer", "-", "{tree}", "true"), "cannot both go to standard output"),
        (("/proc/self", "true"), "proc file system"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2(tree: Path, arguments: tuple[str, ...], says: str) -> None:
    done = fswatch_builder("track", *(word.format(tree=tree) for word in arguments), check=False)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr


def test_a_working_directory_that_was_removed_is_no_bug_of_ours(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    command = [
        "sh",
        "-c",
        'rmdir "$PWD" && exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "fswatch_builder",
        "track",
        ".",
        "true",
    ]
    done = subprocess.run(command, cwd=tmp_path / "gone", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "ERROR: the working directory was removed\n  hint: change to one that is there\n"


@pytest.mark.skipif("overlay" not in trackers(), reason="there is no overlay tracker")
def test_a_tracker_that_needs_a_place_of_its_own_is_refused(tree: Path) -> None:
    done = track(tree, "--tracker", "overlay", check=False)
    assert done.returncode == 7
    assert "needs the command to run in a root file system of its own" in done.stderr
    assert (tree / "old").exists()


def test_options_after_the_directory_are_the_command_s(tree: Path) -> None:
    done = fswatch_builder("track", str(tree), "printf", "%s %s", "--json", "-o")
    assert done.stdout == "--json -o"


def test_the_document_has_standard_output_to_itself(tree: Path) -> None:
    done = track(tree, "--json")
    document = json.loads(done.stdout)
    assert "the command speaks" in done.stderr
    assert document["version"] == 1
    assert document["directory"] == str(tree)
    assert document["command"] == ["sh", "-ec", SCRIPT]
    assert (document["exit_status"], document["entries"], document["audited"]) == (0, 9, False)
    found = {change["path"]: change for change in document["changes"]}
    assert list(found) == sorted(found)
    assert (found["tool"]["kind"], found["tool"]["why"]) == ("modified", ["mode"])
    assert (found["tool"]["before"]["mode"], found["tool"]["after"]["mode"]) == ("0644", "4755")
    assert found["old"]["after"] is None
    assert found["new/f"]["before"] is None
    assert found["link"]["after"]["target"] == "tool"
    digest = "60b725f10c9c85c70d97880dfe8191b3"
    assert len(found["etc/conf"]["before"]["sha256"]) == 2 * len(digest)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", found["tool"]["after"]["mtime"])


def test_with_a_file_for_the_report_standard_output_is_the_command_s(tree: Path, tmp_path: Path) -> None:
    done = track(tree, "--json", "-o", f"{tmp_path}/report.json")
    assert (done.stdout, done.stderr) == ("the command speaks\n", "and complains\n")
    assert json.loads((tmp_path / "report.json").read_text())["exit_status"] == 0
    done = track(tree, "-o", f"{tmp_path}/report.txt", script="touch /dev/null; echo 1 >x")
    assert done.stderr == ""
    assert "A  x" in (tmp_path / "report.txt").read_text()


def test_a_report_that_cannot_be_written_is_told_before_the_command_runs(tree: Path, tmp_path: Path) -> None:
    for option in ("-o", "--layer"):
        done = track(tree, option, f"{tmp_path}/missing/file", check=False)
        assert done.returncode == 9
        assert (tree / "old").exists()


def test_paths_of_any_bytes_come_through_whole_and_steer_no_terminal(tree: Path) -> None:
    name = b"\xff\\x41\x1b[2J\n\xc3\xa9"
    script = r"printf x >\"$(printf '\377\\x41\033[2J\n\303\251')\"".replace('\\"', '"')
    done = track(tree, "--json", script=script)
    (path,) = [change["path"] for change in json.loads(done.stdout)["changes"]]
    assert path == "\\xff\\\\x41\x1b[2J\né"
    undone = re.sub(rb"\\(\\|x[0-9a-f]{2})", lambda match: _byte(match[1]), path.encode())
    assert undone == name
    os.unlink(os.fsencode(tree) + b"/" + name)
    done = track(tree, script=script)
    assert "\x1b" not in done.stderr
    assert "\n  A  \\xff\\x41\\x1b[2J\\n" in done.stderr


def _byte(escape: bytes) -> bytes:
    return b"\\" if escape == b"\\" else bytes([int(escape[1:], 16)])


def test_extended_attributes_are_named_and_valued(tree: Path) -> None:
    try:
        os.setxattr(tree / "tool", "user.old", b"o")
    except OSError:
        pytest.skip("no extended attributes of users here")
    python = "import os; os.setxattr('tool', 'user.k', bytes(2)); os.removexattr('tool', 'user.old')"
    script = f'{sys.executable} -c "{python}"'
    found = changes(tree, script)
    assert found["tool"]["why"] == ["xattrs"]
    after = found["tool"]["after"]
    assert isinstance(after, dict)
    assert base64.b64decode(after["xattrs"]["user.k"]) == bytes(2)
    os.removexattr(tree / "tool", "user.k")
    os.setxattr(tree / "tool", "user.old", b"o")
    assert "M  tool  xattrs +user.k -user.old" in track(tree, script=script).stderr


@pytest.mark.root
def test_a_layer_holds_the_changes_and_is_the_same_for_every_tracker(tree: Path, tmp_path: Path) -> None:
    script = SCRIPT + "\nfind . -exec touch -h -d 2001-01-01 {} +"
    layers = []
    for tracker in IN_PLACE:
        copy = tmp_path / tracker
        subprocess.run(["cp", "-a", tree, copy], check=True)
        track(copy, "--tracker", tracker, "--layer", f"{tmp_path}/{tracker}.tar", script=script)
        layers.append((tmp_path / f"{tracker}.tar").read_bytes())
    assert all(layer == layers[0] for layer in layers)
    with tarfile.open(fileobj=io.BytesIO(layers[0])) as tar:
        names = tar.getnames()
        assert tar.extractfile("new/f").read() == b"hi\n"  # type: ignore[union-attr]
        assert tar.getmember("new/g").linkname == "new/f"
        assert tar.getmember("tool").mode == 0o4755
    assert ".wh.old" in names
    assert "etc/kind" in names


def test_a_layer_may_go_to_standard_output_and_the_command_s_goes_elsewhere(tree: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fswatch_builder", "track", "--layer", "-", str(tree), "sh", "-c", "echo x; echo 1 >n"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert tar.getnames() == ["n"]
    assert b"x\n" in done.stderr


def test_what_no_layer_can_hold_leaves_no_layer_and_says_so(tree: Path, tmp_path: Path) -> None:
    done = track(tree, "--layer", f"{tmp_path}/l.tar", script="echo 1 >.wh.x", check=False)
    assert done.returncode == 9
    assert "no layer can hold .wh.x" in done.stderr
    assert "A  .wh.x" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["tree"]


def test_a_change_that_hides_behind_equal_size_and_time_is_found_unless_nothing_is_read(tree: Path) -> None:
    script = "touch -r tool ../t; printf '#!/bin/xx\\n' >tool; touch -r ../t tool"
    assert changes(tree, script)["tool"]["why"] == ["content"]
    (tree / "tool").write_text("#!/bin/sh\n")
    assert changes(tree, script, "--hash", "none") == {}


def test_a_link_made_written_through_and_removed_again_is_seen(tree: Path) -> None:
    found = changes(tree, "ln tool ../outside; echo more >>../outside; rm ../outside", "--audit")
    assert found["tool"]["why"] == ["content", "mtime"]


@pytest.mark.parametrize("tracker", IN_PLACE)
def test_a_write_through_a_name_outside_from_before_the_command_is_found(tree: Path, tracker: str) -> None:
    """No event names the file below the directory, and no link was made that could be counted."""
    outside = tree.with_name("outside")
    os.link(tree / "tool", outside)
    done = track(tree, "--tracker", tracker, "--audit", script="echo more >>../outside")
    assert "M  tool  content 10B -> 15B" in done.stderr


@pytest.mark.parametrize("tracker", IN_PLACE)
def test_a_name_outside_costs_a_look_and_no_change(tree: Path, tracker: str) -> None:
    os.link(tree / "tool", tree.with_name("outside"))
    assert f"nothing changed below {tree}" in track(tree, "--tracker", tracker, "--audit", script=":").stderr


def test_what_the_command_leaves_behind_is_waited_for(tree: Path) -> None:
    found = changes(tree, "{ sleep 0.3; echo late >late; } & exit 0", "--audit")
    assert list(found) == ["late"]


def test_a_socket_is_noted_and_never_compared(tree: Path) -> None:
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(tree / "s"))
    script = f"{sys.executable} -c \"import socket; socket.socket(socket.AF_UNIX).bind('new.sock')\""
    done = track(tree, "--audit", script=script)
    assert "note: new.sock is a new socket; sockets are not compared" in done.stderr
    assert "note: s is" not in done.stderr
    assert f"nothing changed below {tree}" in done.stderr


def test_an_audit_that_disagrees_ends_with_a_status_of_its_own_after_the_report(tree: Path) -> None:
    script = "touch -r tool ../t; printf '#!/bin/xx\\n' >tool; touch -r ../t tool"
    done = track(tree, "--hash", "none", "--audit", script=script, check=False)
    assert done.returncode == 11
    assert "  /tool: expected modified (content), found nothing" in done.stderr
    assert f"nothing changed below {tree}" in done.stderr
