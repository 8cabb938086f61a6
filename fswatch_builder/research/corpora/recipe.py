"""What a made tree is."""

import os
import re
from collections.abc import Callable

from msgspec import Struct

from fswatch_builder.errors import UsageError
from fswatch_builder.research.corpora.digest import tree_digest

_SIZE = re.compile(r"([1-9]\d*)([kM]?)")
_FACTORS = {"": 1, "k": 1_000, "M": 1_000_000}


class Recipe(Struct, frozen=True):
    """``make`` fills an empty directory with about so many files. ``kind`` is unique; ``means`` is for people.

    ``bytes_per_file`` is what the tree takes on disk, to tell beforehand whether it fits.
    """

    kind: str
    means: str
    make: Callable[[str, int], None]
    bytes_per_file: int


class Corpus(Struct, frozen=True):
    """One recipe at one size, spelled ``kind-10k``."""

    recipe: Recipe
    files: int

    @property
    def name(self) -> str:
        """As ``--corpus`` takes it."""
        for suffix in ("M", "k"):
            if self.files % _FACTORS[suffix] == 0:
                return f"{self.recipe.kind}-{self.files // _FACTORS[suffix]}{suffix}"
        return f"{self.recipe.kind}-{self.files}"

    @property
    def kind(self) -> str:
        """What workloads go by."""
        return self.recipe.kind

    @property
    def bytes_on_disk(self) -> int:
        """About what it takes."""
        return self.files * self.recipe.bytes_per_file

    def check(self) -> None:
        """It can be made anywhere."""

    def make(self, directory: str) -> str:
        """Makes it in ``directory``, which must not exist, and returns its digest, ``sha256:...``: names, modes, links
        and contents.
        """
        os.mkdir(directory, 0o755)
        mask = os.umask(0o022)
        try:
            self.recipe.make(directory, self.files)
        finally:
            os.umask(mask)
        return tree_digest(directory)


def parse_size(text: str) -> int:
    """``10k`` is 10,000, ``1M`` a million. UsageError."""
    matched = _SIZE.fullmatch(text)
    if matched is None:
        raise UsageError(f"{text!r} is no number of files", hint="such as 1000, 10k or 1M")
    return int(matched[1]) * _FACTORS[matched[2]]
