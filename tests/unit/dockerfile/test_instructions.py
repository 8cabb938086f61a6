"""What each keyword takes."""

import pytest

from fswatch_builder.errors import Location
from fswatch_builder.model.instruction import (
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Label,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from tests.unit.dockerfile.reading import error, one, read


def pairs(instruction: Arg | Env | Label) -> list[tuple[str, str | None]]:
    return [(str(name), None if value is None else str(value)) for name, value in instruction.items]


@pytest.mark.parametrize(
    ("line", "base", "name", "platform"),
    [
        ("FROM a", "a", None, None),
        ("from a:1 as B-1_x.y", "a:1", "b-1_x.y", None),
        ("FROM --platform=$P ${A}:$V aS b", "${A}:$V", "b", "$P"),
    ],
)
def test_from(line: str, base: str, name: str | None, platform: str | None) -> None:
    stage = read(line).instructions[0]
    assert isinstance(stage, From)
    assert (str(stage.base), stage.name) == (base, name)
    assert (str(stage.platform) if stage.platform else None) == platform


@pytest.mark.parametrize("line", ["FROM", "FROM a b", "FROM a AS", "FROM a as b c", "FROM a ass b"])
def test_from_takes_one_or_three_words(line: str) -> None:
    assert error(line).what == "FROM requires either one or three arguments"


@pytest.mark.parametrize("name", ["1", "0a", "-a", "a/b", "a:b", "$x", "ä"])
def test_a_stage_name_begins_with_a_letter(name: str) -> None:
    found = error(f"FROM a AS {name}")
    assert f'invalid name for build stage: "{name}"' in found.what
    assert found.where == Location("Dockerfile", 1, 11)


def test_arg_takes_several_items() -> None:
    arg = one(Arg, "ARG a b= c=1 d=\"x y\" e='$z' f=a=b")
    assert pairs(arg) == [("a", None), ("b", ""), ("c", "1"), ("d", '"x y"'), ("e", "'$z'"), ("f", "a=b")]


def test_env_pairs() -> None:
    env = one(Env, 'ENV a=1 b="x y"\\\n  c=x\\ y d=')
    assert not env.legacy
    assert pairs(env) == [("a", "1"), ("b", '"x y"'), ("c", "x\\ y"), ("d", "")]


def test_env_legacy_form_takes_the_rest_of_the_line() -> None:
    env = one(Env, "ENV a   b  'c' =d  ")
    assert env.legacy
    assert pairs(env) == [("a", "b  'c' =d")]


def test_g16_label_quoted_pairs_across_lines_stay_apart() -> None:
    label = one(Label, 'LABEL "a"="b"\\\n      "c"="d e"')
    assert pairs(label) == [('"a"', '"b"'), ('"c"', '"d e"')]
    (_, first), (_, second) = label.items
    assert (first.where, second.where) == (Location("Dockerfile", 2, 11), Location("Dockerfile", 3, 11))


def test_a_value_on_the_next_line_knows_its_place() -> None:
    env = one(Env, "ENV a=\\\nb")
    ((name, value),) = env.items
    assert (name.where, value.where) == (Location("Dockerfile", 2, 5), Location("Dockerfile", 3, 1))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("ARG", "ARG requires at least one argument"),
        ("ARG =x", "ARG names can not be blank"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV a", "ENV must have two arguments"),
        ("ENV =a", "ENV names can not be blank"),
        ("ENV a=1 b", 'can\'t find = in "b": must be of the form name=value'),
        ("LABEL", "LABEL requires at least one argument"),
        ("LABEL a", "LABEL must have two arguments"),
        ("COPY", "COPY requires at least two arguments, but none were provided. Destination could not be determined"),
        (
            "ADD a",
            "ADD requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            'COPY ["a"]',
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("COPY --from=$s a b", "variable expansion is not supported for --from"),
        ("RUN []", "RUN requires at least one argument"),
        ("RUN [1]", "when using JSON array syntax, arrays must be comprised of strings only"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("USER", "USER requires exactly one argument"),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ("VOLUME []", "VOLUME requires at least one argument"),
        ('VOLUME ["/a", " "]', "VOLUME specified can not be an empty string"),
        ("SHELL", "SHELL requires at least one argument"),
        ("SHELL []", "SHELL requires at least one argument"),
        ("SHELL /bin/bash -c", "SHELL requires the arguments to be in JSON form"),
    ],
)
def test_wrong_arguments_are_told(line: str, what: str) -> None:
    found = error(f"FROM a\n{line}\n")
    assert found.what == what
    assert found.where is not None
    assert found.where.line == 2


@pytest.mark.parametrize("kind", [Run, Cmd, Entrypoint])
def test_shell_and_exec_form(kind: type[Run | Cmd | Entrypoint]) -> None:
    keyword = kind.__name__.upper()
    shell = one(kind, f'{keyword}  echo "$X"  \\\n  b ')
    assert (shell.form, shell.argv) == ("shell", ('echo "$X"    b',))
    execute = one(kind, f'{keyword} ["echo", "$X"]')
    assert (execute.form, execute.argv) == ("exec", ("echo", "$X"))
    broken = one(kind, f"{keyword} ['a']")
    assert (broken.form, broken.argv) == ("shell", ("['a']",))


def test_an_empty_list_is_not_an_empty_command() -> None:
    assert (one(Entrypoint, "ENTRYPOINT []").form, one(Entrypoint, "ENTRYPOINT []").argv) == ("exec", ())
    assert (one(Cmd, "CMD []").form, one(Cmd, "CMD []").argv) == ("exec", ())


def test_a_command_without_text_is_the_shell_with_nothing_to_do() -> None:
    assert (one(Run, "RUN").form, one(Run, "RUN").argv) == ("shell", ("",))


def test_copy_between_blanks() -> None:
    copy = one(Copy, 'COPY --from=Build --chown=a:b --chmod=0644 x* "y z" /d')
    assert not copy.add
    assert [str(source) for source in copy.sources] == ["x*", '"y', 'z"']
    assert (str(copy.dest), copy.stage, str(copy.chown), str(copy.chmod)) == ("/d", "Build", "a:b", "0644")
    assert (copy.link, copy.parents, copy.exclude) == (None, None, ())


def test_copy_json_form() -> None:
    copy = one(Copy, 'COPY ["a b", "<<c", "dest/"]')
    assert [str(source) for source in copy.sources] == ["a b", "<<c"]
    assert str(copy.dest) == "dest/"


def test_add_is_told_from_copy() -> None:
    add = one(Copy, "ADD --checksum=sha256:x --keep-git-dir --unpack=false a b")
    assert add.add
    assert (str(add.checksum), add.keep_git_dir, add.unpack) == ("sha256:x", True, False)


def test_copy_from_nothing_is_from_the_context() -> None:
    assert one(Copy, "COPY --from= a b").stage is None


def test_lists() -> None:
    assert [str(port) for port in one(Expose, "EXPOSE 80/tcp $P 8000-8010").ports] == ["80/tcp", "$P", "8000-8010"]
    assert [str(path) for path in one(Volume, "VOLUME /a  /b").paths] == ["/a", "/b"]
    assert [str(path) for path in one(Volume, 'VOLUME ["/a b", "/c"]').paths] == ["/a b", "/c"]


def test_the_rest_of_the_line_is_one_argument() -> None:
    assert str(one(Workdir, "WORKDIR  /a b ").path) == "/a b"
    assert str(one(User, "USER $u:g").name) == "$u:g"
    assert str(one(Stopsignal, "STOPSIGNAL SIGTERM").signal) == "SIGTERM"


def test_shell() -> None:
    assert one(Shell, 'SHELL ["/bin/bash", "-c"]').argv == ("/bin/bash", "-c")
