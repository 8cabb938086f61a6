"""RUN --mount in whole builds: what a RUN sees, what the layer and the cache keep of it, and that is nothing."""

import gzip
import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Unpack

import pytest

from fswatch_builder._native import Copied
from fswatch_builder.build.events import Event, StepNote
from fswatch_builder.build.located import Located
from fswatch_builder.build.mounting import Lent
from fswatch_builder.errors import BuildContextError, BuildError, DockerfileError, UsageError
from fswatch_builder.model.sandbox import NETWORK_HOST, SECURITY_INSECURE, SandboxOptions
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store
from tests.support.builds import How, Recorder, Result, Workshop, args
from tests.support.cli import fswatch_builder

pytestmark = pytest.mark.root

SECRET = Lent(secrets={"token": b"hunter2-\xff"})


def run(workshop: Workshop, line: str, **how: Unpack[How]) -> Result:
    return workshop.build(f"FROM base\n{line}\n", **how)


def stored_with(result: Result, text: bytes) -> list[str]:
    """Files of the store that have ``text`` in them, layers unpacked: where a secret could hide."""
    found, seen = [], set()
    for directory, _, names in os.walk(result.store):
        for path in (Path(directory, name) for name in names):
            # A kept tree has one program under hundreds of names.
            if (inode := path.lstat().st_ino) in seen or path.is_symlink():
                continue
            seen.add(inode)
            content = path.read_bytes()
            if text in (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content):
                found.append(str(path))
    return found


# Bind mounts (R10).


def test_a_bind_mount_of_the_context_shows_what_a_copy_would_take(workshop: Workshop) -> None:
    workshop.write("a/f", "of the context\n")
    workshop.write("a/ignored")
    workshop.write(".dockerignore", "a/ignored\n")
    os.chown(workshop.context / "a/f", 1000, 1000)
    result = run(workshop, "RUN --mount=target=/c cat /c/a/f; ls /c/a; stat -c %u:%g /c/a/f; ! touch /c/x")
    assert result.recorder.printed().startswith("of the context\nf\n0:0\n")
    assert result.layers == ()


def test_a_bind_mount_of_a_stage_an_image_and_a_named_context(workshop: Workshop, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "g").write_text("named\n")
    text = (
        "FROM base AS made\nRUN mkdir /d && echo staged >/d/f && chown app /d/f\n"
        "FROM base\nRUN --mount=from=made,source=/d,target=/m --mount=from=extra,source=g,target=/g"
        " --mount=from=base,source=/etc,target=/h cat /m/f /g; stat -c %u /m/f; head -n 1 /h/passwd\n"
    )
    result = workshop.build(text, contexts={"base": str(workshop.base), "extra": str(other)})
    assert result.recorder.printed() == "staged\nnamed\n1000\nroot:x:0:0:root:/root:/bin/sh\n"
    assert result.layers == ()


def test_a_socket_of_the_context_is_no_way_to_the_host_and_that_is_told(workshop: Workshop) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{workshop.context}/s")
        result = run(workshop, "RUN --mount=target=/c test -f /c/s && echo 'an empty file'")
    assert result.recorder.printed() == "an empty file\n"
    notes = [event.text for event in result.recorder.events if isinstance(event, StepNote)]
    assert "s: a socket, copied as an empty file" in notes


@pytest.mark.parametrize("source", ["from=made,source=/d", "source=d", "from=made,source=/d/f", "source=d/f"])
def test_what_is_written_to_a_bind_mount_vanishes(workshop: Workshop, source: str) -> None:
    workshop.write("d/f", "content\n")
    target = "/m/f" if source.endswith("/f") else "/m"
    text = (
        "FROM base AS made\nRUN mkdir /d && echo content >/d/f\nFROM base\n"
        f"RUN --mount={source},target={target},rw cat /m/f; echo other >/m/f; cat /m/f\n"
        f"RUN --mount={source},target={target},rw cat /m/f\n"
        f"RUN --mount={source},target={target} cat /m/f\nCOPY --from=made /d /e\n"
    )
    result = workshop.build(text)
    assert result.recorder.printed() == "content\nother\ncontent\ncontent\n"
    assert (workshop.context / "d/f").read_text() == "content\n"
    assert result.names() == [["e", "e/f"]]
    assert result.text(result.layers[0], "e/f") == "content\n"


def test_where_no_overlay_can_be_a_copy_is_written_to(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no overlay here")

    monkeypatch.setattr("fswatch_builder.build.mounting.mount_overlay", refuse)
    test_what_is_written_to_a_bind_mount_vanishes(workshop, "from=made,source=/d")


@pytest.mark.parametrize(
    ("flag", "what"),
    [
        ("--mount=source=nothing,target=/t", '"/nothing": not found'),
        ("--mount=source=ignored,target=/t", '"/ignored": not found'),
        ("--mount=source=[x],target=/t", r'"/\[x\]": not found'),
        ("--mount=from=base,source=/nothing,target=/t", '"/nothing": not found'),
        ("--mount=from=base,source=/bin/../../../../nothing,target=/t", '"/nothing": not found'),
        ("--mount=source=fifo,target=/t", "only a file or a directory can be mounted"),
        ("--mount=type=cache,target=/t,source=sub", '"/sub": not found in the cache /t'),
        ("--mount=type=cache,target=/t,from=base,source=/etc/passwd", "not a directory"),
    ],
)
def test_a_source_that_is_not_there_is_an_error_with_its_line(workshop: Workshop, flag: str, what: str) -> None:
    workshop.write("ignored")
    workshop.write(".dockerignore", "ignored\n")
    os.mkfifo(workshop.context / "fifo")
    with pytest.raises(BuildContextError, match=what) as caught:
        run(workshop, f"RUN {flag} true")
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_a_name_with_wildcards_is_a_name(workshop: Workshop) -> None:
    workshop.write("[a]*?/f", "odd\n")
    assert run(workshop, "RUN --mount=source=[a]*?,target=/t cat /t/f").recorder.printed() == "odd\n"


def test_l5_a_source_behind_a_link_stays_in_its_tree(workshop: Workshop) -> None:
    (workshop.context / "out").symlink_to("/etc")
    workshop.write("etc/f", "of the context\n")
    assert run(workshop, "RUN --mount=source=out,target=/t cat /t/f").recorder.printed() == "of the context\n"
    with pytest.raises(BuildContextError, match="not found"):
        run(workshop, "RUN --mount=source=out/shadow,target=/t true")


def test_l6_a_context_that_changes_after_its_key_was_made_is_an_error(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.write("d/f", "old")
    copy = Located.copy

    def copied_late(self: Located, directory: str) -> Copied:
        workshop.write("d/f", "new")
        return copy(self, directory)

    monkeypatch.setattr(Located, "copy", copied_late)
    with pytest.raises(BuildContextError, match="was changed during the build"):
        run(workshop, "RUN --mount=source=d,target=/t cat /t/f >/f")


def test_k14_a_context_that_holds_the_store_is_refused_as_for_a_copy(workshop: Workshop) -> None:
    with pytest.raises(BuildContextError, match="holds the local store"):
        run(workshop, "RUN --mount=target=/t true", store=workshop.context / "store")


# The keys of bind mounts.


def hits(workshop: Workshop, line: str, **how: Unpack[How]) -> bool:
    return run(workshop, line, **how).recorder.statuses() == ["cached"]


def test_h10_content_and_mode_of_a_bind_source_are_in_the_key_and_its_times_are_not(workshop: Workshop) -> None:
    line = "RUN --mount=source=d,target=/t cat /t/f >/f"
    path = workshop.write("d/f", "1")
    assert not hits(workshop, line)
    os.utime(path, (1, 1))
    os.utime(path.parent, (1, 1))
    workshop.write("elsewhere", "x")
    assert hits(workshop, line)
    path.chmod(0o755)
    assert not hits(workshop, line)
    workshop.write("d/f", "2")
    assert not hits(workshop, line)
    workshop.write("d/g", "")
    assert not hits(workshop, line)
    path.parent.chmod(0o700)
    assert not hits(workshop, line)
    workshop.write(".dockerignore", "d/g\n")
    assert not hits(workshop, line)
    assert hits(workshop, line)


def test_h11_a_stage_that_is_rebuilt_otherwise_is_seen_anew_and_one_like_before_is_not(workshop: Workshop) -> None:
    def build(content: str, stage: str) -> Result:
        text = f"FROM base AS {stage}\nRUN echo {content} >/f; echo {stage} >/other\n"
        return workshop.build(text + f"FROM base\nRUN --mount=from={stage},source=/f,target=/t cat /t >/copy\n")

    assert build("1", "a").recorder.statuses()[-1] == "done"
    assert build("1", "b").recorder.statuses()[-1] == "cached"  # another stage, of which the same is seen
    second = build("2", "b")
    assert second.recorder.statuses()[-1] == "done"
    assert second.text(second.layers[0], "copy") == "2\n"


# Cache mounts (R11).


def test_w1_a_cache_survives_builds_is_in_no_layer_and_in_no_key(workshop: Workshop) -> None:
    line = "RUN --mount=type=cache,target=/c cat /c/* 2>/dev/null; echo {} >>/c/log; echo done >/f; touch /f -d @1"
    first, second = (run(workshop, line.format(number)) for number in (1, 2))
    assert second.recorder.printed() == "1\n"
    assert first.names() == second.names() == [["f"]]
    assert first.diff_ids() == second.diff_ids()
    assert hits(workshop, line.format(1))


def test_k12_files_leave_the_cache_by_copy(workshop: Workshop) -> None:
    line = "RUN --mount=type=cache,target=/c echo x >/c/f && ! ln /c/f /f && mv /c/f /f"
    result = run(workshop, line)
    assert result.names() == [["f"]]


def test_a_cache_is_known_by_its_id_in_all_stages_and_builds(workshop: Workshop) -> None:
    text = (
        "FROM base AS a\nRUN --mount=type=cache,id=x,target=/one echo a >/one/f\n"
        "FROM base\nCOPY --from=a /etc/passwd /p\n"
        "RUN --mount=type=cache,id=x,target=/two --mount=type=cache,target=/three cat /two/f; ls /three\n"
        "RUN --mount=type=cache,target=x --mount=type=cache,id=x,target=/again cat /again/f /x/f\n"
    )
    assert workshop.build(text).recorder.printed() == "a\na\na\n"


@pytest.mark.parametrize("sharing", ["shared", "private", "locked"])
def test_two_targets_of_one_cache_in_one_run_are_one_directory(workshop: Workshop, sharing: str) -> None:
    mount = f"--mount=type=cache,id=x,sharing={sharing}"
    line = f"RUN {mount},target=/a {mount},target=/b,ro echo x >/a/f && cat /b/f && ! touch /b/g"
    assert run(workshop, line).recorder.printed().startswith("x\n")


def test_namespaces_keep_caches_apart(workshop: Workshop) -> None:
    line = "RUN --mount=type=cache,target=/c ls /c; touch /c/$(ls /c | wc -l)"
    for namespace, seen in (("", ""), ("a", ""), ("b", ""), ("a", "0\n")):
        found = run(workshop, f"{line} # {namespace}{seen}", build_args=args(BUILDKIT_CACHE_MOUNT_NS=namespace))
        assert found.recorder.printed() == seen


def test_a_cache_starts_with_what_its_source_holds_and_with_its_owner_and_mode(workshop: Workshop) -> None:
    text = (
        "FROM base AS seed\nRUN mkdir -m 700 /s && echo seed >/s/f && chown -R app /s\nFROM base\n"
        "RUN --mount=type=cache,id=x,target=/c,from=seed,source=/s cat /c/f; stat -c '%u %a' /c /c/f; echo new >/c/f\n"
        "RUN --mount=type=cache,id=x,target=/d,from=seed,source=/s cat /d/f\n"
        "RUN --mount=type=cache,id=x,target=/e stat -c '%u %a' /e; ls /e\n"
        "RUN --mount=type=cache,id=x,target=/e,uid=1000,gid=50,mode=0770 stat -c '%u %g %a' /e\n"
    )
    assert workshop.build(text).recorder.printed() == "seed\n1000 700\n1000 644\nnew\n0 755\n1000 50 770\n"


def test_l7_a_source_in_a_cache_does_not_lead_out_of_it(workshop: Workshop) -> None:
    run(workshop, "RUN --mount=type=cache,id=x,target=/c mkdir -p /c/etc /c/sub; echo in >/c/etc/f; ln -s /etc /c/out")
    line = "RUN --mount=type=cache,id=x,target=/c,source={0} ls /c # {0}"
    assert run(workshop, line.format("out")).recorder.printed() == "f\n"
    assert run(workshop, line.format("../../sub")).recorder.printed() == ""
    run(workshop, "RUN --mount=type=cache,id=x,target=/c rm -r /c/sub; ln -s ../../../../../../../etc /c/sub")
    assert run(workshop, line.format("sub/.")).recorder.printed() == "f\n"


def test_x5_without_the_cache_a_cache_mount_starts_empty_once(workshop: Workshop) -> None:
    line = "RUN --mount=type=cache,target=/c ls /c; touch /c/{0}\nRUN --mount=type=cache,target=/c ls /c; touch /c/{0}b"
    run(workshop, line.format("1"))
    assert run(workshop, line.format("2"), use_cache=False).recorder.printed() == "2\n"
    assert run(workshop, line.format("3")).recorder.printed() == "2\n2b\n2\n2b\n3\n"


def test_x5_a_stage_without_the_cache_starts_its_own_cache_mounts_empty(workshop: Workshop) -> None:
    text = (
        "FROM base AS a\nRUN --mount=type=cache,id=a,target=/c ls /c; echo >/c/f{0}\n"
        "FROM base\nCOPY --from=a /etc/passwd /p\nRUN --mount=type=cache,id=b,target=/c ls /c; echo >/c/g{0}\n"
    )
    workshop.build(text.format(1))
    assert workshop.build(text.format(2), uncached_stages=frozenset({"a"})).recorder.printed() == "g1\n"
    assert workshop.build(text.format(3)).recorder.printed() == "f2\ng1\ng2\n"


def test_prune_removes_caches(workshop: Workshop) -> None:
    line = "RUN --mount=type=cache,target=/c,id=mine ls /c; touch /c/f # "
    run(workshop, f"{line}1")
    done = fswatch_builder("prune", "-f", f"--store={workshop.store}")
    assert "removed mount mine" in done.stdout + done.stderr
    assert run(workshop, f"{line}2").recorder.printed() == ""


def test_a_failed_run_leaves_its_cache_usable(workshop: Workshop) -> None:
    with pytest.raises(BuildError):
        run(workshop, "RUN --mount=type=cache,target=/c,sharing=locked echo x >/c/f; false")
    found = run(workshop, "RUN --mount=type=cache,target=/c,sharing=locked cat /c/f")
    assert found.recorder.printed() == "x\n"


def test_who_waits_for_a_locked_cache_says_so(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "RUN --mount=type=cache,target=/c,sharing=locked true"
    run(workshop, line)
    notes = []
    with ExitStack() as stack:
        other = stack.enter_context(Store.open(str(workshop.store)))
        (thing,) = other.kept.things(Kind.MOUNT)
        stack.enter_context(other.kept.turn(Kind.MOUNT, thing.key))

        def emit(self: Recorder, event: Event) -> None:
            if isinstance(event, StepNote) and "waiting" in event.text:
                notes.append(event.text)
                stack.close()

        monkeypatch.setattr(Recorder, "emit", emit)
        run(workshop, f"{line}; true")
    assert notes == ["waiting for the cache /c: another RUN has it locked"]


# Secrets (R13).


def test_w3_a_secret_is_seen_by_its_run_alone_and_stored_nowhere(workshop: Workshop) -> None:
    text = (
        "FROM base\nENV TOKEN=shadowed\n"
        "RUN --mount=type=secret,id=token,mode=0440,uid=1000,gid=50 --mount=type=secret,id=token,env=TOKEN"
        " stat -c '%u %g %a' /run/secrets/token; wc -c </run/secrets/token; ! echo x >/run/secrets/token;"
        ' echo "${#TOKEN}"; mkdir /own\n'
        'RUN ls /run 2>&1; echo "$TOKEN"\n'
        "USER app\nRUN --mount=type=secret,id=token,target=k,uid=1000 cat /k >/dev/null && echo mine\n"
    )
    result = workshop.build(text, lent=SECRET)
    printed = result.recorder.printed()
    assert printed.startswith("1000 50 440\n9\n")
    assert printed.endswith("\nmine\n")
    assert "No such file" in printed
    assert "shadowed" in printed
    assert result.names() == [["own"]]
    assert stored_with(result, b"hunter2") == []
    assert "hunter2" not in repr(result.recorder.events)
    assert "hunter2" not in repr(SECRET)


def test_i6_another_value_of_a_secret_is_no_other_step(workshop: Workshop) -> None:
    line = "RUN --mount=type=secret,id=token test -e /run/secrets/token; echo x >/f"
    assert not hits(workshop, line, lent=SECRET)
    assert hits(workshop, line, lent=Lent(secrets={"token": b"other"}))
    assert hits(workshop, line)


def test_a_secret_that_is_not_there_is_skipped_unless_it_is_required(workshop: Workshop) -> None:
    line = 'RUN --mount=type=secret,id=gone{} --mount=type=secret,id=gone,env=G ls /run 2>&1; echo "${{G-unset}}"'
    assert run(workshop, line.format("")).recorder.printed().endswith("unset\n")
    with pytest.raises(UsageError, match="secret gone: not found") as caught:
        run(workshop, line.format(",required"))
    assert "--secret id=gone,src=FILE" in (caught.value.hint or "")
    assert caught.value.where is not None


def test_a_secret_with_a_nul_byte_is_no_variable_and_is_not_told(workshop: Workshop) -> None:
    with pytest.raises(UsageError) as caught:
        run(workshop, "RUN --mount=type=secret,id=s,env=S true", lent=Lent(secrets={"s": b"hunter2\0"}))
    assert "hunter2" not in str(caught.value)


# tmpfs (R12), network and security (R6, R7).


def test_a_tmpfs_is_empty_limited_and_gone_in_the_next_run(workshop: Workshop) -> None:
    text = (
        "FROM base\nRUN --mount=type=tmpfs,target=/t,size=1m df -k /t | tail -n 1; echo x >/t/f\nRUN ls /t 2>&1; true\n"
    )
    result = workshop.build(text)
    assert " 1024 " in result.recorder.printed()
    assert "No such file" in result.recorder.printed()
    assert result.layers == ()


def test_what_is_not_allowed_is_refused_before_anything_is_done(workshop: Workshop) -> None:
    for line in ("RUN --network=host true", "RUN --security=insecure true"):
        with pytest.raises(DockerfileError, match="is not allowed") as caught:
            run(workshop, line)
        assert caught.value.where is not None
        assert caught.value.where.line == 2


def test_what_is_allowed_is_done(workshop: Workshop) -> None:
    allowed = SandboxOptions(allowed=frozenset((NETWORK_HOST, SECURITY_INSECURE)))
    text = (
        "FROM base\nRUN --network=none ls /sys/class/net\nRUN --network=host test -e /sys/class/net/lo\n"
        "RUN --security=insecure mkdir /m && mount -t tmpfs x /m && touch /m/f && umount /m\n"
    )
    result = workshop.build(text, sandbox=allowed)
    assert result.recorder.printed() == "lo\n"
    assert result.names() == [["m"]]
