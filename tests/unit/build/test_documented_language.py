"""docs/dockerfile.md says what works and what is refused by name; the planner has to agree, flag by flag."""

import re
from pathlib import Path

import pytest

from fswatch_builder.build.environment import BUILDER_ARGS
from fswatch_builder.dockerfile.flags import FLAGS
from fswatch_builder.dockerfile.instructions import KEYWORDS
from fswatch_builder.errors import DockerfileError
from tests.unit.build.planning import planned

DOCS = Path(__file__).parents[3] / "docs" / "dockerfile.md"

#: The columns ``Flags that work`` and ``Flags refused by name``, by instruction.
TABLE: dict[str, tuple[set[str], set[str]]] = {}
for line in DOCS.read_text().partition("## Instructions")[2].partition("\n## ")[0].splitlines():
    if line.startswith("| `"):
        names, _, works, refused = (cell.strip() for cell in line[1:-1].split("|"))
        for keyword in re.findall(r"`([A-Z]+)`", names):
            flags = [set(re.findall(r"`--([a-z-]+)", column)) for column in (works, refused)]
            TABLE[keyword] = (flags[0], flags[1])

#: An instruction with room for its flags, and values that say something else than what is done anyway.
LINES = {
    "FROM": "FROM {} scratch",
    "RUN": "FROM scratch\nRUN {} x",
    "COPY": "FROM scratch AS a\nFROM scratch\nCOPY {} x /y",
    "ADD": "FROM scratch\nADD {} x /y",
    "HEALTHCHECK": "FROM scratch\nHEALTHCHECK {} CMD x",
}
VALUES = {
    "platform": "linux/arm64",
    "from": "a",
    "chown": "1:2",
    "chmod": "644",
    "mount": "type=tmpfs,target=/x",
    "network": "none",
    "security": "insecure",
    "device": "x",
    "link": "true",
    "parents": "true",
    "exclude": "x",
    "checksum": "sha256:" + "0" * 64,
    "keep-git-dir": "true",
    "unpack": "false",
    "interval": "1s",
    "timeout": "1s",
    "start-period": "1s",
    "start-interval": "1s",
    "retries": "1",
}


def line_with(keyword: str, flag: str) -> str:
    return LINES[keyword].format(f"--{flag}={VALUES[flag]}") + "\n"


def test_every_instruction_is_in_the_table() -> None:
    assert set(TABLE) == set(KEYWORDS)


@pytest.mark.parametrize("keyword", sorted(KEYWORDS))
def test_every_flag_is_in_one_column(keyword: str) -> None:
    works, refused = TABLE[keyword]
    assert works | refused == set(FLAGS.get(keyword, ()))
    assert works & refused == set()


@pytest.mark.parametrize(
    ("keyword", "flag"), [(keyword, flag) for keyword in sorted(TABLE) for flag in sorted(TABLE[keyword][0])]
)
def test_what_works_is_planned(keyword: str, flag: str) -> None:
    assert planned(line_with(keyword, flag)).stages


@pytest.mark.parametrize(
    ("keyword", "flag"), [(keyword, flag) for keyword in sorted(TABLE) for flag in sorted(TABLE[keyword][1])]
)
def test_what_is_refused_is_refused_by_its_name(keyword: str, flag: str) -> None:
    with pytest.raises(DockerfileError, match=f"--{flag}"):
        planned(line_with(keyword, flag))


def test_every_argument_for_the_builder_is_in_the_docs() -> None:
    section = DOCS.read_text().partition("## Predefined arguments")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(BUILDKIT_[A-Z_]+)`", section)) == BUILDER_ARGS
