"""What is in an image, read by Python's tarfile alone: its files after all layers, its configuration."""

import hashlib
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any

_OLD = 1_100_000_000
"""Seconds: files of the context and of the base are older, what a build makes is younger."""


@dataclass(eq=False)
class _Inode:
    kind: str
    mode: int
    owner: tuple[int, int]
    content: str  # digest, or target of a link
    mtime: int


@dataclass(frozen=True)
class Described:
    """``files``: path to all that is compared of it. ``layers`` counts those above the base."""

    files: Mapping[str, object]
    config: Mapping[str, object]
    layers: int


def files(layers: Iterable[IO[bytes]]) -> dict[str, object]:
    """The union of layers, whiteouts applied. A time counts if it is an old one: a copied file's."""
    tree: dict[str, _Inode] = {}
    for layer in layers:
        with tarfile.open(fileobj=layer) as tar:
            for member in tar:
                _apply(tree, tar, member)
    names: dict[int, list[str]] = {}
    for path, inode in tree.items():
        names.setdefault(id(inode), []).append(path)
    return {
        path: (
            inode.kind,
            oct(inode.mode) if inode.kind != "link" else "",
            inode.owner,
            inode.content,
            inode.mtime if inode.kind == "file" and inode.mtime < _OLD else "new",
            sorted(names[id(inode)]),
        )
        for path, inode in tree.items()
    }


def _apply(tree: dict[str, _Inode], tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    path = member.name.strip("/").removeprefix("./")
    if path in ("", "."):
        return
    above, _, name = path.rpartition("/")
    if name.startswith(".wh."):
        hidden = f"{above}/{name[4:]}".strip("/")
        if name == ".wh..wh..opq":
            _remove_below(tree, above)
        else:
            tree.pop(hidden, None)
            _remove_below(tree, hidden)
        return
    if member.islnk():
        tree[path] = tree[member.linkname.strip("/").removeprefix("./")]
        return
    if not member.isdir():
        _remove_below(tree, path)
    content = member.linkname if member.issym() else ""
    file = tar.extractfile(member) if member.isfile() else None
    if file is not None:
        content = hashlib.sha256(file.read()).hexdigest()
    kind = "directory" if member.isdir() else "link" if member.issym() else "file" if member.isfile() else "special"
    tree[path] = _Inode(kind, member.mode & 0o7777, (member.uid, member.gid), content, int(member.mtime))


def _remove_below(tree: dict[str, _Inode], directory: str) -> None:
    for path in [path for path in tree if path.startswith(directory + "/")]:
        del tree[path]


def config(document: Mapping[str, Any]) -> dict[str, object]:
    """What a container is started by; what is empty is absent."""
    names = [
        "Env",
        "Cmd",
        "Entrypoint",
        "User",
        "WorkingDir",
        "ExposedPorts",
        "Volumes",
        "Labels",
        "StopSignal",
        "Healthcheck",
        "OnBuild",
        "Shell",
    ]
    stated = {name: document.get("config", {}).get(name) for name in names} | {"author": document.get("author")}
    return {name: value for name, value in stated.items() if value}


def differences(ours: Described, theirs: Described) -> dict[str, tuple[object, object]]:
    """What is not equal, ours and theirs: ``layers``, ``config NAME``, ``/path``."""
    pairs: dict[str, tuple[object, object]] = {"layers": (ours.layers, theirs.layers)}
    pairs |= {f"/{path}": (ours.files.get(path), theirs.files.get(path)) for path in {*ours.files, *theirs.files}}
    names = {*ours.config, *theirs.config}
    pairs |= {f"config {name}": (ours.config.get(name), theirs.config.get(name)) for name in names}
    return {what: pair for what, pair in pairs.items() if pair[0] != pair[1]}
