"""What instructions mean for configuration and history (hazards G)."""

import pytest

from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.image import DEFAULT_PATH, RunConfig
from fswatch_builder.model.plan import MainContext
from fswatch_builder.model.step import ConfigStep, CopyAction, DirectoryAction, RunAction
from tests.unit.build.planning import actions, config, created_by, walked


def only_run(text: str, **how: object) -> RunAction:
    (action,) = (action for action in actions(text, **how) if isinstance(action, RunAction))
    return action


def only_copy(text: str, **how: object) -> CopyAction:
    (action,) = (action for action in actions(text, **how) if isinstance(action, CopyAction))
    return action


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("ENV k=v k2='a b'", "ENV k=v k2=a b"),
        ("ENV k v w", "ENV k=v w"),
        ("LABEL a=b", "LABEL a=b"),
        ('CMD ["a", "b"]', 'CMD ["a" "b"]'),
        ('CMD echo "x"', 'CMD ["/bin/sh" "-c" "echo \\"x\\""]'),
        ('ENTRYPOINT ["a\\t"]', 'ENTRYPOINT ["a\\t"]'),
        ("ENTRYPOINT []", "ENTRYPOINT []"),
        ("EXPOSE 80 53/UDP", "EXPOSE [80/tcp 53/udp]"),
        ("VOLUME /a /b", "VOLUME [/a /b]"),
        ("USER x:y", "USER x:y"),
        ("WORKDIR a/../b", "WORKDIR /b"),
        ("WORKDIR /", "WORKDIR /"),
        ('SHELL ["/bin/bash", "-c"]', "SHELL [/bin/bash -c]"),
        ("STOPSIGNAL SIGTERM", "STOPSIGNAL SIGTERM"),
        ("ARG k=v", "ARG k=v"),
        ("ARG k", "ARG k"),
        ("ARG a=1 b", "ARG a=1 b"),
        ("RUN echo hi", "RUN /bin/sh -c echo hi # buildkit"),
        ('RUN ["a", "b c"]', "RUN a b c # buildkit"),
        ("COPY --from=x --chown=a:b --chmod=755 f g /d/", "COPY --chown=a:b --chmod=755 f g /d/ # buildkit"),
        ("ADD a.tar /d", "ADD a.tar /d # buildkit"),
        ("COPY <<E /d\nE", "COPY <<E /d # buildkit"),
        ("COPY --link --parents --exclude=x a/./b /d/", "COPY --parents a/./b /d/ # buildkit"),
        ("ADD --checksum=sha256:" + "0" * 64 + " http://h/f /d", "ADD http://h/f /d # buildkit"),
        ("ADD --keep-git-dir https://u:p@h/r.git#v1:d /d", "ADD https://u:xxxxx@h/r.git#v1:d /d # buildkit"),
    ],
)
def test_history_reads_as_other_builders_write_it(line: str, shown: str) -> None:
    assert created_by(f"FROM scratch\n{line}\n") == [shown]


def test_scratch_has_a_path_and_a_working_directory() -> None:
    assert config("FROM scratch\n") == RunConfig(env=(DEFAULT_PATH,), working_dir="/")


def test_a_base_without_path_gets_one_after_its_own_variables() -> None:
    assert config("FROM b\n", base=RunConfig(env=("A=1",))).env == ("A=1", DEFAULT_PATH)
    assert config("FROM b\n", base=RunConfig(env=("PATH=/x",))).env == ("PATH=/x",)


def test_env_is_replaced_where_it_stands() -> None:
    assert config("FROM b\nENV A=3 C=4\n", base=RunConfig(env=("PATH=p", "A=1", "B=2"))).env == (
        "PATH=p",
        "A=3",
        "B=2",
        "C=4",
    )


def test_a_shell_form_command_takes_the_shell_of_its_line() -> None:
    text = 'FROM scratch\nSHELL ["/bin/bash", "-c"]\nCMD x\nSHELL ["/bin/sh"]\n'
    assert config(text).cmd == ("/bin/bash", "-c", "x")


def test_g6_entrypoint_clears_the_bases_cmd() -> None:
    base = RunConfig(cmd=("base",))
    assert config("FROM b\nENTRYPOINT x\n", base=base).cmd is None


@pytest.mark.parametrize("lines", ["CMD a\nENTRYPOINT x", "ENTRYPOINT x\nCMD a"])
def test_g6_entrypoint_keeps_a_cmd_of_the_same_stage_in_any_order(lines: str) -> None:
    assert config(f"FROM b\n{lines}\n", base=RunConfig(cmd=("base",))).cmd == ("/bin/sh", "-c", "a")


def test_a_cmd_of_a_parent_stage_is_the_bases() -> None:
    assert config("FROM scratch AS a\nCMD x\nFROM a\nENTRYPOINT y\n").cmd is None


def test_an_empty_entrypoint_is_null() -> None:
    assert config("FROM b\nENTRYPOINT []\n", base=RunConfig(entrypoint=("x",))).entrypoint is None


def test_ports_are_normalised_and_ranges_expanded() -> None:
    text = "FROM scratch\nARG P='8080 9090/udp'\nEXPOSE 3-5/TCP $P 127.0.0.1:80:81\n"
    assert config(text).exposed_ports == ("3/tcp", "4/tcp", "5/tcp", "8080/tcp", "81/tcp", "9090/udp")


@pytest.mark.parametrize("port", ["x", "70000", "5-3", "80/icmp", "80-"])
def test_a_bad_port_is_an_error(port: str) -> None:
    with pytest.raises(DockerfileError):
        config(f"FROM scratch\nEXPOSE {port}\n")


def test_volumes_add_up() -> None:
    text = 'FROM scratch\nVOLUME /a\nVOLUME ["/b", "/a"]\n'
    assert config(text).volumes == ("/a", "/b")
    assert actions(text) == []


def test_workdir_joins_and_owns_what_it_makes() -> None:
    text = "FROM scratch\nWORKDIR /a\nUSER u\nWORKDIR b/./c\nWORKDIR ../d\n"
    assert actions(text) == [DirectoryAction("/a", ""), DirectoryAction("/a/b/c", "u"), DirectoryAction("/a/b/d", "u")]
    assert config(text).working_dir == "/a/b/d"


def test_workdir_of_the_root_touches_nothing() -> None:
    assert isinstance(walked("FROM scratch\nWORKDIR ..\n")[0][0], ConfigStep)


def test_g7_shell_is_used_by_run_and_kept_for_children() -> None:
    text = 'FROM scratch AS a\nSHELL ["/bin/bash", "-ec"]\nFROM a\nRUN x\n'
    assert only_run(text).argv == ("/bin/bash", "-ec", "x")


@pytest.mark.parametrize("signal", ["SIGKILL", "kill", "9", "RTMIN+3", "SIGRTMAX-1"])
def test_signals(signal: str) -> None:
    assert config(f"FROM scratch\nSTOPSIGNAL {signal}\n").stop_signal == signal


@pytest.mark.parametrize("signal", ["0", "SIGNOPE", "100", "RTMIN+x", "KILL+1"])
def test_no_signals(signal: str) -> None:
    with pytest.raises(DockerfileError, match="invalid signal"):
        config(f"FROM scratch\nSTOPSIGNAL {signal}\n")


def test_labels_expand_their_names_too() -> None:
    assert config("FROM scratch\nARG K=k\nLABEL $K.a=$K b=\nLABEL b=2\n").labels == {"k.a": "k", "b": "2"}


def test_exec_form_is_raw() -> None:
    assert only_run('FROM scratch\nENV X=1\nRUN ["echo", "$X"]\n').argv == ("echo", "$X")


def test_a_lone_heredoc_is_the_shells_one_string() -> None:
    run = only_run("FROM scratch\nRUN <<EOF\necho $A\nexit 0\nEOF\n")
    assert run.argv == ("/bin/sh", "-c", "echo $A\nexit 0\n")
    assert run.script is None


def test_a_script_runs_through_its_interpreter_with_one_argument() -> None:
    text = "FROM scratch\nRUN <<EOF\n#! /usr/bin/env  python3 -u \nprint(1)\nEOF\n"
    run = only_run(text)
    assert run.argv == ("/usr/bin/env", "python3 -u", "/.heredoc")
    assert run.script == ("/.heredoc", "#! /usr/bin/env  python3 -u \nprint(1)\n")
    assert created_by(text) == ["RUN /bin/sh -c /dev/pipes/EOF # buildkit"]


def test_with_other_words_the_shell_reads_the_heredocs() -> None:
    text = "FROM scratch\nRUN cat <<A - <<'B' >/x\na\nA\n$b\nB\n"
    assert only_run(text).argv[-1] == "cat <<A - <<'B' >/x\na\nA\n$b\nB"


def test_the_sandboxs_hostname_can_be_set() -> None:
    assert only_run("FROM scratch\nRUN x\n", args={"BUILDKIT_SANDBOX_HOSTNAME": "h"}).hostname == "h"


@pytest.mark.parametrize(
    ("workdir", "dest", "want"),
    [
        ("/w", "x", "/w/x"),
        ("/w", "x/", "/w/x/"),
        ("/w", ".", "/w/"),
        ("/w", "./", "/w/"),
        ("/w", "/", "/"),
        ("/w", "/a/../b", "/b"),
        ("/w", "..", "/"),
        ("/w/v", "..", "/w/"),
        ("/w", "../../x", "/x"),
        ("/w", "//x", "/x"),
    ],
)
def test_a_destination_is_relative_to_workdir_and_keeps_its_slash(workdir: str, dest: str, want: str) -> None:
    assert only_copy(f"FROM scratch\nWORKDIR {workdir}\nCOPY f {dest}\n").dest == want


def test_g14_a_heredoc_is_expanded_unless_its_name_is_quoted() -> None:
    text = "FROM scratch\nENV X=1\nCOPY <<A <<'B' /d/\n$X \\$X \"q\"\nA\n$X\nB\n"
    copy = only_copy(text)
    assert copy.documents == (("A", '1 $X "q"\n'), ("B", "$X\n"))
    assert copy.source == MainContext()
