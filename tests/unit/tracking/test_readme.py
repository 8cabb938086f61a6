"""tracking/README.md argues with tests: every one it names exists."""

import re
from pathlib import Path

import pytest

from fswatch_builder.tracking import protocol

REPOSITORY = Path(__file__).parents[3]
README = Path(protocol.__file__).with_name("README.md").read_text()
SOURCES = [*(REPOSITORY / "tests").rglob("*.py"), *(REPOSITORY / "native/fswb-core/src").rglob("*.rs")]

#: Tests, mutations and operations, without the ids of hazards that some begin with.
KNOWN = {
    re.sub(r"^([a-m]\d{1,2}_)+", "", name)
    for path in SOURCES
    for name in re.findall(r"^\s*(?:def|fn) (?:test_)?(\w+)\(", path.read_text(), re.MULTILINE)
}


def references() -> list[str]:
    """What stands in italics in square brackets."""
    named = [re.findall(r"\*([^*]+)\*", bracket) for bracket in re.findall(r"\[(\*[^\]]+\*)[^\]]*\]", README)]
    return sorted({" ".join(name.split()) for names in named for name in names})


def exists(reference: str) -> bool:
    if "/" in reference:
        return (REPOSITORY / reference).exists()
    name = "_".join(re.findall(r"\w+", reference.lower()))
    return any(known.startswith(name) if reference.endswith("…") else known == name for known in KNOWN)


@pytest.mark.parametrize("reference", references())
def test_what_the_argument_names_exists(reference: str) -> None:
    assert exists(reference)


def test_the_argument_names_many() -> None:
    assert len(references()) > 50


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert not exists("a bird in the hand")
    assert not exists("a bird in…")
    assert not exists("tests/kernel/test_birds.py")
