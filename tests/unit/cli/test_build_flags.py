"""Every option of the other builders is there, or is refused by name with a reason."""

import re
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from fswatch_builder.cli.app import app
from fswatch_builder.cli.refused import REFUSED as REFUSED_BY_COMMAND

REFUSED = REFUSED_BY_COMMAND["build"]

#: What `docker buildx build --help` lists (buildx 0.30).
BUILDX = """
--add-host --allow --annotation --attest --build-arg --build-context --builder --cache-from --cache-to --call
--cgroup-parent --check -D --debug -f --file --iidfile --label --load --metadata-file --network --no-cache
--no-cache-filter -o --output --platform --policy --progress --provenance --pull --push -q --quiet --sbom --secret
--shm-size --ssh -t --tag --target --ulimit
""".split()  # noqa: SIM905

#: What `docker build` took before BuildKit, and buildx still parses.
OLD = """
--compress --cpu-period --cpu-quota -c --cpu-shares --cpuset-cpus --cpuset-mems --force-rm --isolation -m --memory
--memory-swap --rm --security-opt --squash
""".split()  # noqa: SIM905

#: Options of `buildah build` that a user of it may reach for.
BUILDAH = """
--authfile --build-arg-file --cap-add --cap-drop --cert-dir --cpp-flag --creds --decryption-key --device --dns --env
--format --ignorefile --jobs --layers --logfile --manifest --sign-by --squash --timestamp --tls-verify --unsetenv
--userns -v --volume
""".split()  # noqa: SIM905

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


def known() -> set[str]:
    command = get_command(app).commands["build"]  # type: ignore[attr-defined]
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("flag", sorted({*BUILDX, *OLD, *BUILDAH}))
def test_a_flag_of_others_is_taken_or_refused_by_name(flag: str) -> None:
    assert (flag in known()) != (flag in REFUSED)


@pytest.mark.parametrize("flag", sorted(REFUSED))
def test_a_refusal_says_why(flag: str) -> None:
    result = CliRunner().invoke(app, ["build", flag, "x", "."])
    assert result.exit_code == 2
    assert f"{flag}: {REFUSED[flag]}" in " ".join(result.output.split())


def test_a_flag_with_its_value_behind_an_equals_sign_is_refused_too() -> None:
    result = CliRunner().invoke(app, ["build", "--cache-from=type=registry,ref=x", "."])
    assert result.exit_code == 2
    assert "--cache-from: not supported yet" in result.output


@pytest.mark.parametrize("flag", ["--provenance=true", "--provenance=mode=max", "--sbom=true"])
def test_an_attestation_is_refused_and_none_can_be_asked_for(flag: str) -> None:
    name = flag.partition("=")[0]
    said = {}
    for asked in (flag, f"{name}=false"):
        result = CliRunner().invoke(app, ["build", asked, "/nowhere/at/all"])
        assert result.exit_code == 2
        said[asked] = " ".join(result.output.split())
    assert f"{flag}: not supported yet: no attestation is made" in said[flag]
    assert "the context /nowhere/at/all is not there" in said[f"{name}=false"]


def test_what_nobody_knows_is_no_such_option() -> None:
    result = CliRunner().invoke(app, ["build", "--tagg", "x", "."])
    assert result.exit_code == 2
    assert "--tagg" in result.output
    assert "--tag" in result.output


def test_the_docs_name_what_is_refused_and_nothing_else() -> None:
    text = DOCS.read_text()
    section = text.partition("### Options of other builders")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(--?[a-zA-Z-]+)`", section.partition("Refused:")[2]))
    assert named == set(REFUSED)
