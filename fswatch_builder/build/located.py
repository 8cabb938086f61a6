"""One file or directory of a source, for a mount: what it is as a digest, and a copy of it."""

import os

from msgspec import Struct

from fswatch_builder._native import Copied, Entry, Rootfs, content, copy
from fswatch_builder.build.keys import tree_key
from fswatch_builder.build.parts import FILES, Part
from fswatch_builder.build.trees import Tree


class Located(Struct, frozen=True):
    """One file or directory of a source, by its exact path, and how it is seen there."""

    tree: Tree
    path: bytes
    entry: Entry

    @classmethod
    def of(cls, rootfs: Rootfs, path: bytes) -> "Located":
        """One that is there."""
        entry = rootfs.entry(path)
        if entry is None:
            raise RuntimeError(f"{path!r} has gone")
        return cls(Tree(rootfs, None, is_context=False), path, entry)

    @property
    def rootfs(self) -> Rootfs:
        """Of its tree."""
        return self.tree.rootfs

    def part(self) -> Part:
        """All that can be seen of it but times."""
        tree = self.tree
        owners = not tree.is_context
        found = content(
            tree.rootfs, [self.path], ignore=tree.ignore, owners=owners, context=tree.is_context, known=tree.known
        )
        return Part(FILES, tree_key(self.entry, found.digest, owners=owners), listing=found.listing)

    @property
    def name(self) -> bytes:
        """Where ``copy`` puts it."""
        return b"" if self.entry.kind == "directory" else b"file"

    def copy(self, directory: str) -> Copied:
        """Copies a directory's content into ``directory``, which becomes like it, a file to ``name`` in it."""
        tree, rootfs = self.tree, Rootfs(os.fsencode(directory))
        owner = (0, 0) if tree.is_context else None
        copied = copy(
            tree.rootfs,
            [self.path],
            rootfs,
            b"/" + self.name,
            ignore=tree.ignore,
            owner=owner,
            context=tree.is_context,
        )
        if self.entry.kind == "directory":
            entry = self.entry
            os.chown(directory, *(owner or (entry.uid, entry.gid)))
            os.chmod(directory, entry.mode)
            for attribute, value in entry.xattrs:
                os.setxattr(directory, attribute, value)
            os.utime(directory, ns=(entry.mtime_ns, entry.mtime_ns))
        return copied
