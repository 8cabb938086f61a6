"""What can be fetched: a file by URL, a git repository at one of its commits."""

from typing import Literal

from msgspec import Struct


class HttpFile(Struct, frozen=True):
    """A file behind an http or https URL. ``sha256``, 64 hexadecimal digits, is what its content must have."""

    url: str
    sha256: str | None = None


class GitTree(Struct, frozen=True):
    """The files of a commit, or those below ``subdir``.

    ``remote`` is what git is given: its scheme is http, https, ssh or git, or it is ``user@host:path``; it never
    starts with a dash. ``ref`` is a branch, a tag, a full ref or a commit; empty: the remote's HEAD. ``commit`` is a
    prefix, in hexadecimal, that the commit's ID must have.
    """

    remote: str
    ref: str = ""
    subdir: str = ""
    commit: str | None = None
    keep_git_dir: bool = False
    submodules: bool = True
    mtime: Literal["commit", "checkout"] = "commit"
    fetch_by_commit: bool = False


#: What ADD fetches, and what a context may be.
Remote = HttpFile | GitTree
