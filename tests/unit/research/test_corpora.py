"""Made trees: the same ones everywhere."""

from pathlib import Path

import pytest

from fswatch_builder.errors import UsageError
from fswatch_builder.research.corpora.recipe import parse_size
from fswatch_builder.research.corpora.registry import corpus, recipes

#: What these recipes have made from the first day on. A recipe that makes something else gets another name.
PINNED = {
    "wide-300": "sha256:142cf6397c260809d9fd88ec6ec4e6364af7d16556782520dfed87f09a12ef16",
    "flat-300": "sha256:43d6f561117e31c467fa9d98c55d47b0527290ee825f2d07f772e8bdcbce32e8",
    "deep-300": "sha256:1fa51e20ef68376902945e3296300e007139109161c918307e521723f8560532",
    "links-300": "sha256:b0e1d284fdc5ba2aa3ae71e280f9fdc30f8af91da9d9ba61934ec5bc4ec138de",
    "big-3": "sha256:faa32e7b9835b6b985f58cf0aae4a0f71cfb59bc84bc1630f7b789fa48e7da9f",
    "node-modules-300": "sha256:2f9362bac24c14226bd84a46df6d039e3d4d612fdf965db6a629fd0505377177",
    "site-packages-300": "sha256:6fa4f14f9594c8f60608288972e48ada5bc55eff4fe9e30bbe20ddb5b5ea54ce",
}


@pytest.mark.parametrize("name", PINNED)
def test_a_recipe_makes_the_same_tree_everywhere(tmp_path: Path, name: str) -> None:
    assert corpus(name).make(str(tmp_path / "tree")) == PINNED[name]


def test_every_recipe_is_pinned() -> None:
    assert {corpus(name).recipe.kind for name in PINNED} == set(recipes())


@pytest.mark.parametrize("name", ["wide-1k", "wide-10k", "wide-1M", "wide-1500", "node-modules-7"])
def test_a_corpus_has_one_name(name: str) -> None:
    assert corpus(name).name == name


@pytest.mark.parametrize("name", ["wide", "wide-", "wide-0", "wide-1G", "nothing-10k", "-10k", "wide--1", "10k"])
def test_what_is_no_corpus_is_told(name: str) -> None:
    with pytest.raises(UsageError):
        corpus(name)


def test_sizes() -> None:
    assert [parse_size(text) for text in ("7", "10k", "1M")] == [7, 10_000, 1_000_000]
