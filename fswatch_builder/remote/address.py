"""Which words name something to fetch: URLs of files and of git repositories.

A git repository is told by its spelling alone: ``git://``, ``ssh://``, ``user@host:path``, and an http or https URL
whose path ends with ``.git``. What of it is meant stands behind it: ``#REF:SUBDIR``, or a query.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from msgspec.structs import replace

from fswatch_builder.model.remote import GitTree, HttpFile, Remote

#: ``user@host:path``, as ssh and git know it.
_SCP: Final = re.compile(r"(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+-]*)@(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^?#]+)")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_COMMIT: Final = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_COMMIT_PREFIX: Final = re.compile(r"[0-9a-fA-F]{7,64}")
_SHA256: Final = re.compile(r"sha256:([0-9a-f]{64})")
_TRUTH: Final = {"": True, "1": True, "true": True, "0": False, "false": False}


def remote_source(text: str) -> Remote | None:
    """What an ADD source names, None for a path. Raises ValueError for what is no address that can be used."""
    scheme = _SCHEME.match(text)
    if scheme is not None:
        name = scheme[0][:-3].lower()
        if name not in ("http", "https", "git", "ssh"):
            return None
        _refuse_odd(text)
        parts = urlsplit(text)
        if not parts.hostname or parts.hostname.startswith("-"):
            raise ValueError(f"no host in {shown(text)}")
        if name in ("git", "ssh") or parts.path.endswith(".git"):
            remote = urlunsplit((name, parts.netloc, parts.path, "", ""))
            return _git_tree(remote, parts.query, unquote(parts.fragment))
        return HttpFile(text.partition("#")[0])
    found = _SCP.match(text)
    if found is None or "/" in text[: found.start("host")]:
        return None
    _refuse_odd(text)
    rest, _, fragment = text.partition("#")
    remote, _, query = rest.partition("?")
    return _git_tree(remote, query, fragment)


def remote_context(text: str) -> Remote | None:
    """As ``remote_source``, for a build context, where ``github.com/OWNER/NAME`` is a repository too."""
    if text.startswith("github.com/"):
        rest, hash_, fragment = text.partition("#")
        path, mark, query = rest.partition("?")
        path = path.removesuffix("/").removesuffix(".git")
        return remote_source(f"https://{path}.git{mark}{query}{hash_}{fragment}")
    return remote_source(text)


def with_checksum(source: Remote, checksum: str) -> Remote:
    """``--checksum``: ``sha256:...`` of a file's content, or the commit of a repository. Raises ValueError."""
    if isinstance(source, HttpFile):
        known = _SHA256.fullmatch(checksum)
        if known is None:
            raise ValueError(f"invalid checksum {checksum!r}: want sha256: and 64 hexadecimal digits")
        return replace(source, sha256=known[1])
    return _with_commit(source, checksum)


def is_commit(ref: str) -> bool:
    """Whether a ref is the full ID of a commit."""
    return _COMMIT.fullmatch(ref) is not None


def shown(address: str) -> str:
    """An address without the password that may stand in it, for messages and histories."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:xxxxx@", address)


def without_password(address: str) -> str:
    """An address as it may be kept: the user stays, the password does not."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1@", address)


def _refuse_odd(text: str) -> None:
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in text):
        raise ValueError(f"a blank or control character in {shown(text)!r}")


def _git_tree(remote: str, query: str, fragment: str) -> GitTree:
    ref, _, subdir = fragment.partition(":")
    tree = GitTree(remote, _checked_ref(ref), _checked_subdir(subdir))
    seen: set[str] = set()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in seen:
            raise ValueError(f"{name} is given twice in the query of {shown(remote)}")
        seen.add(name)
        setting = _SETTINGS.get(name)
        if setting is None:
            raise ValueError(f"unknown query {name!r} for {shown(remote)}: want one of {', '.join(sorted(_SETTINGS))}")
        tree = setting(tree, value)
    if tree.commit is not None and not tree.ref and is_commit(tree.commit):
        tree = replace(tree, ref=tree.commit)
    return tree


def _with_ref(prefix: str) -> Callable[[GitTree, str], GitTree]:
    def apply(tree: GitTree, value: str) -> GitTree:
        if tree.ref:
            raise ValueError(f"two refs for {shown(tree.remote)}: {tree.ref} and {value}")
        return replace(tree, ref=_checked_ref(prefix + value if value else ""))

    return apply


def _with_subdir(tree: GitTree, value: str) -> GitTree:
    if tree.subdir and tree.subdir != value:
        raise ValueError(f"two subdirectories for {shown(tree.remote)}: {tree.subdir} and {value}")
    return replace(tree, subdir=_checked_subdir(value))


def _with_commit(tree: GitTree, value: str) -> GitTree:
    if not _COMMIT_PREFIX.fullmatch(value):
        raise ValueError(f"invalid checksum {value!r}: want the ID of a commit, 7 digits of it at least")
    if tree.commit is not None and tree.commit != value.lower():
        raise ValueError(f"two commits for {shown(tree.remote)}: {tree.commit} and {value}")
    return replace(tree, commit=value.lower())


def _with_mtime(tree: GitTree, value: str) -> GitTree:
    match value:
        case "commit" | "checkout":
            return replace(tree, mtime=value)
        case _:
            raise ValueError(f"mtime={value}: want commit or checkout")


def _truth(name: str, value: str) -> bool:
    known = _TRUTH.get(value.lower())
    if known is None:
        raise ValueError(f"{name}={value}: want true or false")
    return known


_SETTINGS: Final[Mapping[str, Callable[[GitTree, str], GitTree]]] = {
    "ref": _with_ref(""),
    "tag": _with_ref("refs/tags/"),
    "branch": _with_ref("refs/heads/"),
    "subdir": _with_subdir,
    "commit": _with_commit,
    "checksum": _with_commit,
    "keep-git-dir": lambda tree, value: replace(tree, keep_git_dir=_truth("keep-git-dir", value)),
    "submodules": lambda tree, value: replace(tree, submodules=_truth("submodules", value)),
    "mtime": _with_mtime,
    "fetch-by-commit": lambda tree, value: replace(tree, fetch_by_commit=_truth("fetch-by-commit", value)),
}


def _checked_ref(ref: str) -> str:
    """What git's own rules for names allow: nothing that it, or a shell, could take for more than a name."""
    if not ref:
        return ref
    odd = any(ord(character) <= 0x20 or ord(character) == 0x7F or character in "~^:?*[\\" for character in ref)
    if odd or ref.startswith(("-", "/", "+")) or ".." in ref or "@{" in ref or ref.endswith((".", ".lock", "/")):
        raise ValueError(f"invalid git ref {ref!r}")
    return ref


def _checked_subdir(subdir: str) -> str:
    if any(ord(character) < 0x20 for character in subdir):
        raise ValueError(f"invalid subdirectory {subdir!r}")
    return subdir.strip("/")
