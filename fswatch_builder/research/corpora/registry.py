"""All made trees, and those pinned by digest."""

from collections.abc import Mapping
from types import MappingProxyType

from fswatch_builder.errors import UsageError
from fswatch_builder.research.corpora import packages, shapes
from fswatch_builder.research.corpora.debian import KIND, Debian, debian
from fswatch_builder.research.corpora.recipe import Corpus, Recipe, parse_size

_RECIPES = (
    Recipe("wide", "files of 64 bytes, ten a directory", shapes.wide, 4_600),
    Recipe("flat", "files of 64 bytes, all in one directory", shapes.flat, 4_200),
    Recipe("deep", "files of 64 bytes, 250 directories one in the other", shapes.deep, 8_400),
    Recipe("links", "files of 64 bytes with five names each", shapes.links, 1_200),
    Recipe("big", "files of 1 MiB", shapes.big, (1 << 20) + 512),
    Recipe("node-modules", "packages of small JavaScript files, some nested", packages.node_modules, 6_700),
    Recipe("site-packages", "packages of Python modules and their bytecode", packages.site_packages, 12_000),
)

DEFAULTS = ("wide-1k", "wide-10k", "node-modules-10k", "site-packages-10k", "links-10k", "deep-1k", "big-100")
"""What ``bench`` measures on unless told otherwise: minutes, not hours."""


def recipes() -> Mapping[str, Recipe]:
    """By kind."""
    return MappingProxyType({recipe.kind: recipe for recipe in _RECIPES})


def chosen(name: str) -> Corpus | Debian:
    """What ``--corpus`` takes: ``wide-10k``, or ``debian``. UsageError."""
    return debian() if name == KIND else corpus(name)


def corpus(name: str) -> Corpus:
    """``wide-10k``: a kind and a size. UsageError."""
    kind, _, size = name.rpartition("-")
    found = recipes().get(kind)
    if found is None:
        raise UsageError(
            f"there is no corpus {name!r}",
            hint=f"a kind and a number of files, such as wide-10k, or {KIND}; kinds are {', '.join(recipes())}",
        )
    return Corpus(found, parse_size(size))
