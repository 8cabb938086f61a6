"""X10 and L: --call and --check answer without a build."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fswatch_builder.cli.app import app
from fswatch_builder.cli.call import Call
from fswatch_builder.dockerfile.rules import RULES, rule_url
from fswatch_builder.errors import UsageError

ROOT = Path(__file__).parents[3]
TEXT = """\
# VERSION of the base
ARG VERSION=1.2
ARG UNUSED=x
# build compiles
FROM alpine:$VERSION AS build
# LEVEL of optimisation
# and more
ARG LEVEL=3 TARGETARCH
ARG VERSION
RUN make
FROM scratch
COPY --from=build /x /y
# last is what you want
FROM scratch AS last
ARG OTHER=1
"""

Ask = Callable[..., Result]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    def asked(text: str, *arguments: str) -> Result:
        (tmp_path / "Dockerfile").write_text(text)
        return CliRunner().invoke(app, ["build", f"--store={tmp_path}/store", *arguments, str(tmp_path)])

    return asked


def test_targets_are_listed_with_their_descriptions(ask: Ask) -> None:
    done = ask(TEXT, "--call=targets")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "TARGET          DESCRIPTION",
        "build           compiles",
        "",
        "last (default)  is what you want",
    ]


def test_targets_as_a_document(ask: Ask) -> None:
    document = json.loads(ask(TEXT, "--call=targets,format=json").stdout)
    assert [sorted(one) for one in document["targets"]] == [
        ["base", "description", "location", "name"],
        ["base", "location"],
        ["base", "default", "description", "location", "name"],
    ]
    assert document["targets"][0]["location"] == {"ranges": [{"start": {"line": 5}, "end": {"line": 5}}]}


def test_a_comment_that_begins_with_another_word_describes_nothing(ask: Ask) -> None:
    text = "# Compiles\nFROM scratch AS build\n# lastly, this\nFROM scratch AS last\n# LEVELS of it\nARG LEVEL=1\n"
    document = json.loads(ask(text, "--call=targets,format=json").stdout)
    assert ["description" in one for one in document["targets"]] == [False, False]
    (argument,) = json.loads(ask(text, "--call=outline,format=json").stdout)["args"]
    assert (argument["name"], argument.get("description", "")) == ("LEVEL", "")


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("build", [("VERSION", "7", "of the base"), ("LEVEL", "3", "of optimisation")]),
        ("last", [("OTHER", "1", "")]),
    ],
)
def test_an_outline_has_the_arguments_that_the_target_uses(
    ask: Ask, target: str, arguments: list[tuple[str, str, str]]
) -> None:
    done = ask(TEXT, "--call=outline,format=json", f"--target={target}", "--build-arg=VERSION=7")
    document = json.loads(done.stdout)
    assert document["name"] == target
    shown = [(one["name"], one.get("value", ""), one.get("description", "")) for one in document["args"]]
    assert shown == arguments


def test_an_outline_as_text(ask: Ask) -> None:
    assert ask(TEXT, "--call=outline").stdout.splitlines() == [
        "TARGET:       last",
        "DESCRIPTION:  is what you want",
        "",
        "BUILD ARG  VALUE  DESCRIPTION",
        "OTHER      1",
    ]


def test_an_outline_has_the_secrets_and_agents_of_all_stages_it_needs(ask: Ask) -> None:
    text = (
        "FROM scratch AS a\nRUN --mount=type=secret,id=key,required x\nFROM scratch AS unused\n"
        "RUN --mount=type=secret,id=other x\nFROM a\nRUN --mount=type=ssh --mount=type=secret,id=key x\n"
    )
    assert ask(text, "--call=outline").stdout.splitlines() == [
        "TARGET:  (default)",
        "",
        "SECRET  REQUIRED",
        "key     true",
        "",
        "SSH      REQUIRED",
        "default",
    ]
    document = json.loads(ask(text, "--call=outline,format=json").stdout)
    assert document["secrets"] == [
        {"name": "key", "required": True, "location": {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]}}
    ]
    assert [one["name"] for one in document["ssh"]] == ["default"]


def test_an_outline_has_the_caches_of_all_stages_it_needs(ask: Ask) -> None:
    text = (
        "FROM scratch AS a\nARG D=/c\nRUN --mount=type=cache,target=$D x\nFROM a\n"
        "RUN --mount=type=cache,target=/other,id=/c --mount=type=cache,target=/d,id=pip x\n"
    )
    assert ask(text, "--call=outline").stdout.splitlines()[-3:] == ["CACHE", "/c", "pip"]
    document = json.loads(ask(text, "--call=outline,format=json").stdout)
    assert document["cache"] == [
        {"ID": "/c", "location": {"ranges": [{"start": {"line": 3}, "end": {"line": 3}}]}},
        {"ID": "pip", "location": {"ranges": [{"start": {"line": 5}, "end": {"line": 5}}]}},
    ]


def test_an_error_shows_the_line_of_a_file_from_standard_input(tmp_path: Path) -> None:
    store = f"--store={tmp_path}/store"
    for method in ("outline", "targets", "check"):
        done = CliRunner().invoke(app, ["build", store, f"--call={method}", "-"], input="FROM scratch\nNOPE\n")
        assert done.exit_code == 3
        assert "     2 | NOPE\n       | ^\n" in done.stderr


def test_an_argument_that_only_a_default_needs_is_in_the_outline(ask: Ask) -> None:
    text = "ARG A=1\nARG B=x$A\nARG C=$D\nFROM alpine:$B\n"
    document = json.loads(ask(text, "--call=outline,format=json").stdout)
    assert [one["name"] for one in document["args"]] == ["A", "B"]
    given = json.loads(ask(text, "--call=outline,format=json", "--build-arg=B=1").stdout)
    assert [one["name"] for one in given["args"]] == ["B"]


def test_check_ends_with_1_if_there_are_findings_and_with_0_if_not(ask: Ask) -> None:
    done = ask("FROM scratch AS A\nCMD x\n", "--check")
    assert done.exit_code == 1
    assert done.stdout.startswith("Check complete, 2 warnings have been found!\n\nWARNING: StageNameCasing - https://")
    assert "   1 | FROM scratch AS A\n     |                 ^\n" in done.stdout
    assert ask("FROM scratch AS A\nCMD x\n", "--call=lint,ignorestatus").exit_code == 0
    done = ask("FROM scratch\n", "--check")
    assert (done.exit_code, done.stdout) == (0, "Check complete, no warnings found.\n")


def test_check_looks_at_every_stage_unless_a_target_is_named(ask: Ask) -> None:
    text = "FROM scratch AS a\nCMD x\nFROM scratch AS b\nCMD y\n"
    assert ask(text, "--check").stdout.count("WARNING") == 2
    assert ask(text, "--check", "--target=b").stdout.count("WARNING") == 1


def test_check_as_a_document(ask: Ask) -> None:
    document = json.loads(ask("FROM scratch\nCMD x\n", "--call=check,format=json").stdout)
    (warning,) = document["warnings"]
    assert warning["ruleName"] == "JSONArgsRecommended"
    assert warning["url"] == "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
    assert warning["location"] == {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]}
    assert document["sources"][0]["language"] == "Dockerfile"


def test_an_error_ends_the_check_behind_its_findings(ask: Ask) -> None:
    done = ask("FROM scratch AS A\nEXPOSE x\n", "--check")
    assert done.exit_code == 3
    assert "StageNameCasing" in done.stdout
    assert "ERROR: invalid port" in done.stderr
    assert "     |        ^" in done.stderr
    document = json.loads(ask("FROM scratch AS A\nEXPOSE x\n", "--call=check,format=json").stdout)
    assert document["buildError"]["location"]["ranges"][0]["start"] == {"line": 2, "character": 7}
    done = ask("FROM scratch AS A\nFOO\n", "--check")
    assert done.exit_code == 3
    assert "StageNameCasing" in done.stdout


def test_error_true_and_the_build_argument(ask: Ask) -> None:
    text = "# check=error=true\nFROM scratch AS A\n"
    done = ask(text, "--check")
    assert done.exit_code == 3
    assert "lint violation found for rules: StageNameCasing" in done.stderr
    done = ask(text, "--check", "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all")
    assert (done.exit_code, done.stdout) == (0, "Check complete, no warnings found.\n")
    done = ask(text, "--check", "--build-arg=BUILDKIT_DOCKERFILE_CHECK=nonsense")
    assert done.exit_code == 2
    assert "--build-arg BUILDKIT_DOCKERFILE_CHECK=nonsense: check: cannot use 'nonsense'" in done.stderr


def test_nothing_is_fetched_and_nothing_written(ask: Ask, tmp_path: Path) -> None:
    done = ask("FROM nowhere.example/x\nENV a=$b\n", "--check")
    assert done.exit_code == 0
    assert "the image nowhere.example/x is not in the local store" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["Dockerfile"]


def test_hidden_files_are_known(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("a\n")
    assert ask("FROM scratch\nCOPY a /\n", "--check", f"--ignorefile={tmp_path}/mine").exit_code == 1
    assert ask("FROM scratch\nCOPY a /\n", "--check").exit_code == 0


@pytest.mark.parametrize("text", ["", "foo", "check,format=xml", "outline,json", "CHECK"])
def test_an_unknown_method_or_option_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--call"):
        Call.parse(text, check_only=False)


@pytest.mark.parametrize("text", ["outline", "targets", "check,format=json"])
def test_check_and_another_method_are_too_much(text: str) -> None:
    with pytest.raises(UsageError, match="give one of them"):
        Call.parse(text, check_only=True)


def test_every_rule_is_in_the_table_and_in_the_docs() -> None:
    source = "".join(path.read_text() for path in (ROOT / "fswatch_builder").rglob("*.py") if path.name != "rules.py")
    raised = set(re.findall(r'(?:Warning\(|_finding\([^,]+, )"([A-Za-z]+)"', source))
    assert raised == set(RULES)
    section = (ROOT / "docs/dockerfile.md").read_text().partition("## Checks")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Z][A-Za-z]+)`", "".join(re.findall(r"^\|([^|]+)\|", section, re.MULTILINE))))
    assert named == set(RULES)


def test_pages_of_rules() -> None:
    assert rule_url("JSONArgsRecommended").endswith("/json-args-recommended/")
    assert rule_url("UndefinedArgInFrom").endswith("/undefined-arg-in-from/")
    assert rule_url("CopyIgnoredFile").endswith("/copy-ignored-file/")
