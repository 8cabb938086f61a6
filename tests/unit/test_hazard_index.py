"""The index of hazards in tests/README.md: every test it names exists, every id that a test bears is in it."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.conformance import mutations
from tests.e2e import test_trackers_agree

TESTS = Path(__file__).parents[1]
NATIVE = TESTS.parent / "native/fswb-core/src"
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (TESTS / "README.md").read_text().splitlines()
    if re.match(r"\| [A-M]\d+ \|", line)
]


def names() -> Iterator[str]:
    """What is said to be a test; `[x]` goes on from `conformance[w]` before it."""
    for *_, where in ROWS:
        for name in re.findall(r"`([^`]+)`", where):
            if name.startswith("["):
                yield f"conformance{name}"
            elif "[" in name or "::" in name or "/" in name:
                yield name


def rust_files(modules: list[str]) -> list[Path]:
    """Where a module may be: a file, a directory, or within the file of its parent if it is called `tests`."""
    at = NATIVE.joinpath(*modules)
    return [path for path in (at.with_suffix(".rs"), at / "mod.rs", at.parent.with_suffix(".rs")) if path.exists()]


def exists(name: str) -> bool:
    whole = not re.search(r"…\]?$", name)
    name = name.replace("…", "")
    if table := re.fullmatch(r"(conformance|agree)\[(.+)\]", name):
        known: Iterable[str] = mutations.MUTATIONS if table[1] == "conformance" else test_trackers_agree.CASES
        return any(each == table[2] or (each.startswith(table[2]) and not whole) for each in known)
    place, _, test = name.rpartition("::")
    if not place:
        return (TESTS / name).exists() or (TESTS.parent / name).exists()
    files = [TESTS / place] if "/" in place else rust_files(place.split("::"))
    begin = f"{'def' if '/' in place else 'fn'} {test}{'(' if whole else ''}"
    return any(begin in path.read_text() for path in files)


@pytest.mark.parametrize("name", sorted(set(names())))
def test_what_the_index_names_exists(name: str) -> None:
    assert exists(name)


def test_ids_of_tests_are_in_the_index() -> None:
    found: set[str] = set()
    for path in [*TESTS.rglob("*.py"), *NATIVE.rglob("*.rs")]:
        source = path.read_text()
        for bearing in re.findall(r"(?:def test|fn )_?((?:[a-m]\d{1,2}_)+)|\bhazards? ((?:[A-M]\d+(?:, )?)+)", source):
            found |= set(re.findall(r"[A-M]\d+", " ".join(bearing).upper()))
    ids = [row[0] for row in ROWS]
    assert found <= set(ids)
    assert len(ids) == len(set(ids))
    assert len(found) > 90
