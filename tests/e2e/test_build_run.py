"""RUN, heredocs, users, multi-stage: what commands see and what comes of them."""

import pytest
from msgspec.structs import replace

from fswatch_builder.errors import BaseImageError, BuildContextError, BuildError, DockerfileError, RunError
from fswatch_builder.model.image import Healthcheck, RunConfig
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop

pytestmark = pytest.mark.root


def test_a_script_is_executed_by_its_interpreter_and_leaves_no_trace(workshop: Workshop) -> None:
    text = 'FROM base\nRUN <<EOF\n#!/bin/sh -e\necho "$0" >/f\nEOF\n'
    result = workshop.build(text)
    assert result.names() == [["f"]]
    assert result.text(result.layers[0], "f") == "/.heredoc\n"


def test_a_script_cannot_be_changed_by_its_run(workshop: Workshop) -> None:
    text = 'FROM base\nRUN <<EOF\n#!/bin/sh\n! echo x >"$0" && ! rm "$0" && ! chmod 777 "$0" && echo kept >/f\nEOF\n'
    assert workshop.build(text).names() == [["f"]]


def test_a_heredoc_with_other_words_is_the_shells(workshop: Workshop) -> None:
    result = workshop.build("FROM base\nRUN cat <<A >/f && cat <<'B' >>/f\n$((1+1))\nA\n$x\nB\n")
    assert result.text(result.layers[0], "f") == "2\n$x\n"


def test_heredocs_are_files_named_after_their_delimiters(workshop: Workshop) -> None:
    result = workshop.build(
        "FROM scratch\nENV X=1\nCOPY <<one <<'two' /d/\n$X\none\n$X\ntwo\nCOPY --chmod=755 <<E /f\nf\nE\n"
    )
    assert result.names() == [["d", "d/one", "d/two"], ["f"]]
    assert [result.text(result.layers[0], name) for name in ("d/one", "d/two")] == ["1\n", "$X\n"]
    modes = [member.mode for layer in result.layers for member in result.members(layer) if member.isfile()]
    assert modes == [0o644, 0o644, 0o755]


def test_user_and_workdir_hold_for_a_run(workshop: Workshop) -> None:
    text = 'FROM base\nWORKDIR /w\nUSER app:staff\nRUN echo "$(id -u):$(id -g) $HOME $PWD"\n'
    assert workshop.build(text).recorder.printed() == "1000:50 /home/app /w\n"


def test_i3_a_run_sees_its_own_variables_and_none_of_ours(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_SECRET", "x")
    printed = workshop.build("FROM base\nARG A=1\nENV B=2\nRUN env\n").recorder.printed().split("\n")
    names = {line.partition("=")[0] for line in printed if line}
    assert names - {"SHLVL", "PWD", "OLDPWD"} == {"A", "B", "PATH", "HOME"}


def test_a_failing_run_tells_code_place_and_last_lines(workshop: Workshop) -> None:
    with pytest.raises(RunError) as caught:
        workshop.build("FROM base\n\nRUN echo last words; exit 42\n")
    error = caught.value
    assert error.what == ('process "/bin/sh -c echo last words; exit 42" did not complete successfully: exit code: 42')
    assert (error.code, error.tail, error.exit_status) == (42, "last words\n", 1)
    assert error.where is not None
    assert error.where.line == 3


@pytest.mark.parametrize(
    ("line", "kind", "what"),
    [
        ("COPY nothing /", BuildContextError, '"/nothing": not found'),
        ("COPY ../../nothing /", BuildContextError, "not found"),
        ("COPY --from=base /nothing /", BuildContextError, '"/nothing": not found'),
        ("COPY --chmod=9z Dockerfile /", DockerfileError, "invalid chmod parameter"),
        ("USER nobody-here\nRUN true", BuildError, "nobody-here"),
        ("WORKDIR /etc/passwd/x", BuildError, "/etc/passwd"),
        ("COPY --from=Bad:Reference:x / /", BuildError, "Bad:Reference"),
    ],
)
def test_an_error_names_its_line(workshop: Workshop, line: str, kind: type[BuildError], what: str) -> None:
    with pytest.raises(kind, match=what) as caught:
        workshop.build(f"FROM base\n{line}\n")
    assert caught.value.where is not None
    assert caught.value.where.line in (2, 3)


def test_a_broken_base_of_an_unused_stage_is_harmless(workshop: Workshop) -> None:
    assert workshop.build("FROM Bro:ken:name AS a\nFROM base\nRUN true\n").layers == ()


def test_a_base_that_cannot_be_found_names_its_line(workshop: Workshop) -> None:
    with pytest.raises(BuildError) as caught:
        workshop.build("ARG A=1\nFROM oci-layout:///nowhere\n")
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_a_damaged_layer_of_a_base_is_refused(workshop: Workshop) -> None:
    from fswatch_builder.oci.store import Store

    base = workshop.build("FROM base\n")
    with Store.open(base.store) as store:
        path = store.blob_path(base.built.image.layers[0].descriptor.digest)
    with open(path, "r+b") as blob:
        blob.seek(-20, 2)
        blob.write(b"x" * 8)
    with pytest.raises((BaseImageError, BuildError)) as caught:
        workshop.build("FROM base\nRUN true\n")
    assert caught.value.where is not None


def test_copy_from_an_image_by_name(workshop: Workshop) -> None:
    from fswatch_builder.oci.reference import Reference

    workshop.build("FROM base\nRUN echo tool >/tool\n", names=(Reference.parse("tools:1"),))
    result = workshop.build("FROM scratch\nCOPY --from=tools:1 /tool /t\n")
    assert result.text(result.layers[0], "t") == "tool\n"


def test_a_static_binary_from_one_stage_runs_nowhere_but_is_all_of_the_next(workshop: Workshop) -> None:
    result = workshop.build(
        'FROM base AS build\nRUN cp /bin/busybox /app\nFROM scratch\nCOPY --from=build /app /app\nCMD ["/app"]\n'
    )
    assert result.names() == [["app"]]
    assert result.built.image.config.cmd == ("/app",)


def with_config(workshop: Workshop, config: RunConfig) -> Reference:
    """An image of the busybox root alone that says of itself what ``config`` says."""
    image = workshop.build("FROM base\nENV a=b\n").built.image
    name = Reference.parse("made")
    with Store.open(str(workshop.store)) as store:
        store.tag(name, store.put_image(replace(image, config=config)), image.platform)
    return name


def test_a_working_directory_that_a_base_lacks_is_made_for_the_run_and_its_user(workshop: Workshop) -> None:
    with_config(workshop, RunConfig(working_dir="/w/x", user="app"))
    result = workshop.build("FROM made\nRUN pwd && echo x >f\nRUN true\n")
    assert result.recorder.printed() == "/w/x\n"
    assert result.names()[1:] == [["w", "w/x", "w/x/f"]]
    made = [member for member in result.members(result.layers[1]) if member.isdir()]
    assert {(member.uid, member.gid, member.mode) for member in made} == {(1000, 1000, 0o755)}


def test_a_base_s_healthcheck_and_other_settings_are_inherited(workshop: Workshop) -> None:
    config = RunConfig(
        env=("PATH=/bin",),
        entrypoint=("e",),
        cmd=("c",),
        labels={"a": "b"},
        exposed_ports=("80/tcp",),
        volumes=("/v",),
        stop_signal="HUP",
        shell=("/bin/ash", "-c"),
        healthcheck=Healthcheck(test=("CMD", "x"), interval_ns=5_000_000_000),
    )
    with_config(workshop, config)
    assert workshop.build("FROM made\nLABEL c=d\n").built.image.config == replace(config, labels={"a": "b", "c": "d"})
