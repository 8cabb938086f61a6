"""The index of rules in tests/rules.md: every test it names exists, and no rule is without one."""

import re

import pytest

from tests.unit.test_hazard_index import TESTS, exists

ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split(" | ")]
    for line in (TESTS / "rules.md").read_text().splitlines()
    if re.match(r"\| [A-Z]+\d+ \|", line)
]
NAMED = sorted({name for *_, where in ROWS for name in re.findall(r"`([^`]+)`", where)})


@pytest.mark.parametrize("name", NAMED)
def test_what_the_index_names_exists(name: str) -> None:
    assert exists(name)


def test_every_rule_has_a_test_and_stands_there_once() -> None:
    ids = [number for number, *_ in ROWS]
    assert len(ids) == len(set(ids))
    assert [number for number, *_, where in ROWS if "`" not in where] == []
    assert len(ids) > 100
