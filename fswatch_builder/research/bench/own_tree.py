"""A user's own tree and command."""

import os
from collections.abc import Sequence

from msgspec import Struct

from fswatch_builder.errors import UsageError
from fswatch_builder.research.bench.ground import copy_tree
from fswatch_builder.research.corpora.digest import tree_digest
from fswatch_builder.research.workloads.workload import Tools, Workload, nothing_to_plant

OWN = "command"
"""The name of the workload."""


class OwnTree(Struct, frozen=True):
    """A copy of ``directory``, which itself is only read."""

    directory: str

    @property
    def name(self) -> str:
        """Its path as it was given."""
        return self.directory

    @property
    def kind(self) -> str:
        """Of no kind that is made."""
        return "own"

    def make(self, directory: str) -> str:
        """The copy, and its digest. BuildError."""
        copy_tree(self.directory, directory)
        return tree_digest(directory)


def own_tree(directory: str) -> OwnTree:
    """UsageError if it is no directory."""
    if not os.path.isdir(directory):
        raise UsageError(f"{directory} is not a directory", hint="--tree takes the tree that the command works on")
    return OwnTree(os.path.realpath(directory))


def own_command(argv: Sequence[str]) -> Workload:
    """Run in the copy."""

    def prepare(tree: str, tools: Tools) -> Sequence[str]:
        del tree, tools
        return argv

    return Workload(OWN, " ".join(argv), nothing_to_plant, prepare)
