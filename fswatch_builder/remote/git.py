"""Taking the files of a commit from a git repository, by the ``git`` program.

The repository is hostile. Git gets neither the user's configuration nor that of the system, no prompt, and four
protocols, for submodules and redirects too: ``file`` and ``ext`` are not among them. Refs and addresses are checked
where they are read (``address.py``), and stand behind ``--`` here.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from fswatch_builder import stopping
from fswatch_builder._native import Rootfs, remove_tree
from fswatch_builder.errors import BuildContextError
from fswatch_builder.model.remote import GitTree
from fswatch_builder.remote.address import is_commit, shown, without_password
from fswatch_builder.remote.credentials import ANONYMOUS, Credentials

_PROTOCOLS: Final = "http:https:ssh:git"
#: Of the caller's environment: where programs are, how the network is reached.
_KEPT: Final = frozenset(
    [
        "PATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
    ]
)
#: Settings that a repository must not find on, or that keep what it brings from meaning more than files.
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=true",
    "core.autocrlf=false",
    "core.logAllRefUpdates=false",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
    "transfer.bundleURI=false",
    "gc.auto=0",
    "maintenance.auto=false",
)
_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST_REASON: Final = 2000


def resolve(tree: GitTree, credentials: Credentials = ANONYMOUS) -> str:
    """The commit that ``tree`` means now, asked of the remote unless the ref is one. Raises BuildContextError."""
    if is_commit(tree.ref):
        commit = tree.ref.lower()
    else:
        names = [tree.ref, f"{tree.ref}^{{}}"] if tree.ref else ["HEAD"]
        listed = _Git(tree, credentials).run(["ls-remote", "--", tree.remote, *names], cwd="/")
        commit = _pick(listed, tree)
    if tree.commit is not None and not commit.startswith(tree.commit):
        raise BuildContextError(
            f"{_name(tree)} is commit {commit}, which does not match the checksum {tree.commit}",
            hint="if the change is wanted, give its commit",
        )
    return commit


class CheckedOut(Struct, frozen=True):
    """The open files of a commit, and when that was made: seconds since 1970."""

    rootfs: Rootfs
    committed: int


def check_out(tree: GitTree, commit: str, directory: str, credentials: Credentials = ANONYMOUS) -> CheckedOut:
    """Puts the files of ``commit`` into ``directory``, new and private, and opens those that ``tree`` means.

    Files are 0644 or 0755, directories 0755. Raises BuildContextError.
    """
    os.mkdir(directory, 0o755)
    os.chmod(directory, 0o755)  # noqa: S103 - mkdir's mode is cut by the umask
    git = _Git(tree, credentials)
    git.run(["init", "--quiet"], cwd=directory)
    git.run(["remote", "add", "--", "origin", tree.remote], cwd=directory)
    _fetch(git, commit, directory)
    git.run(["checkout", "--quiet", "--force", "--detach", commit, "--"], cwd=directory)
    if tree.submodules and os.path.lexists(os.path.join(directory, ".gitmodules")):
        update = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"]
        git.run(update, cwd=directory)
    stamp = int(git.run(["show", "--no-patch", "--format=%ct", commit, "--"], cwd=directory))
    if tree.keep_git_dir:
        git.run(["remote", "set-url", "--", "origin", without_password(tree.remote)], cwd=directory)
        for leftover in ("FETCH_HEAD", "ORIG_HEAD"):  # they tell where and when it was fetched
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, ".git", leftover))
    else:
        _drop_git(directory)
    if tree.mtime == "commit":
        _set_times(directory, stamp)
    return CheckedOut(_below(tree, directory), stamp)


def _pick(listed: str, tree: GitTree) -> str:
    """Of the lines ``ID<tab>NAME``: the commit behind an annotated tag; a branch goes before a tag."""
    found: dict[str, str] = {}
    for line in listed.splitlines():
        commit, _, name = line.partition("\t")
        if _ID.fullmatch(commit):
            found[name] = commit
    wanted = [tree.ref, f"refs/{tree.ref}", f"refs/heads/{tree.ref}", f"refs/tags/{tree.ref}"] if tree.ref else ["HEAD"]
    for name in wanted:
        if name in found:
            return found.get(f"{name}^{{}}", found[name])
    raise BuildContextError(
        f"{shown(tree.remote)} has no branch or tag {tree.ref}" if tree.ref else f"{shown(tree.remote)} is empty",
        hint="a commit is named by its whole ID" if tree.ref else None,
    )


def _fetch(git: "_Git", commit: str, directory: str) -> None:
    """The one commit; where the server gives none by its ID, by its name; in the end all there is."""
    tree = git.tree
    by_name = tree.ref if tree.ref and not is_commit(tree.ref) and not tree.fetch_by_commit else None
    attempts = [["--depth=1", "origin", commit]]
    if by_name is not None:
        attempts.append(["--depth=1", "origin", by_name])
    if not tree.fetch_by_commit:
        attempts.append(["--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"])
    for attempt in attempts:
        failed = git.attempt(["fetch", "--quiet", "--no-recurse-submodules", *attempt], directory)
        if failed is None and git.attempt(["cat-file", "-e", f"{commit}^{{commit}}"], directory) is None:
            return
        reason = failed or "the commit is not there"
    raise BuildContextError(f"cannot fetch commit {commit} of {shown(tree.remote)}: {reason}")


def _drop_git(directory: str) -> None:
    """The repository, and the files in submodules that point to it."""
    remove_tree(os.fsencode(os.path.join(directory, ".git")))
    for path, directories, files in os.walk(directory):
        if ".git" in files:
            os.unlink(os.path.join(path, ".git"))
        if ".git" in directories:  # of a submodule of an old git
            remove_tree(os.fsencode(os.path.join(path, ".git")))
            directories.remove(".git")


def _set_times(directory: str, stamp: int) -> None:
    for path, directories, files in os.walk(directory, topdown=False):
        for name in (*files, *directories):
            os.utime(os.path.join(path, name), (stamp, stamp), follow_symlinks=False)
    os.utime(directory, (stamp, stamp))


def _below(tree: GitTree, directory: str) -> Rootfs:
    """Links in the way to the subdirectory are followed inside the repository (CVE-2026-44517)."""
    root = Rootfs(os.fsencode(directory))
    if not tree.subdir:
        return root
    place = root.resolve(os.fsencode(tree.subdir))
    entry = root.entry(place)
    if entry is None or entry.kind != "directory":
        raise BuildContextError(f"{_name(tree)} has no directory {tree.subdir}")
    return Rootfs(root.path + b"/" + place if place else root.path)


def _name(tree: GitTree) -> str:
    return f"{shown(tree.remote)}#{tree.ref}" if tree.ref else shown(tree.remote)


class _Git(Struct, frozen=True):
    """The program, for one repository."""

    tree: GitTree
    credentials: Credentials

    def run(self, arguments: Sequence[str], cwd: str) -> str:
        """What it prints. Raises BuildContextError."""
        done = self._run(arguments, cwd)
        if done.returncode:
            raise BuildContextError(
                f"git {arguments[0]} failed for {_name(self.tree)}: {_reason(done)}", hint=self._way_in()
            )
        return done.stdout

    def attempt(self, arguments: Sequence[str], cwd: str) -> str | None:
        """Why it failed; None if it did not."""
        done = self._run(arguments, cwd)
        return _reason(done) if done.returncode else None

    def _run(self, arguments: Sequence[str], cwd: str) -> "subprocess.CompletedProcess[str]":
        command = ["git", *(part for setting in _SETTINGS for part in ("-c", setting)), *arguments]
        environment = _environment(os.environ) | _ssh(self.credentials.agent) | self._authorization()
        try:
            git = subprocess.Popen(
                command,
                cwd=cwd,
                env=environment,
                umask=0o022,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # Ctrl-C is for us: a git that dies of it would pass for one that failed
            )
        except FileNotFoundError as error:
            raise BuildContextError("git is not installed", hint="install it: a repository is fetched by it") from error
        with git:
            try:
                with stopping.ending(lambda: _kill(git)):
                    stdout, stderr = git.communicate()
                stopping.check()
            except BaseException:
                _kill(git)
                raise
        return subprocess.CompletedProcess(command, git.returncode, stdout, stderr)

    def _authorization(self) -> dict[str, str]:
        """By the environment: arguments can be read by every user (git-config(1), GIT_CONFIG_COUNT; git 2.31).

        Having followed a redirect git goes on at the new server, with the headers that it had for the old one.
        """
        found = self.credentials.for_repository(self.tree.remote)
        if found is None:
            return {}
        address, authorization = found
        return {
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": f"http.{address}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: {authorization}",
            "GIT_CONFIG_KEY_1": "http.followRedirects",
            "GIT_CONFIG_VALUE_1": "false",
        }

    def _way_in(self) -> str:
        remote = self.tree.remote
        if remote.startswith(("http://", "https://")):
            if self.credentials.for_repository(remote) is not None:
                return "check the address, and the secret: with one no redirect is followed"
            host = remote.partition("://")[2].partition("/")[0].rpartition("@")[2]
            return f"check the address; a token is given as --secret id=GIT_AUTH_TOKEN.{host},env=NAME"
        if remote.startswith("git://"):
            return "check the address"
        if self.credentials.agent is None:
            return "lend it an agent that has the key: --ssh default"
        return "check the address, that the agent has the key, and that the host is in known_hosts"


def _kill(git: "subprocess.Popen[str]") -> None:
    """With the programs that it has started; as long as it is not waited for, its number is nobody else's."""
    if git.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(git.pid, signal.SIGKILL)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in ours.items() if name in _KEPT}
    return kept | {
        "HOME": "/nonexistent",  # no .netrc
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }


def _ssh(agent: str | None) -> dict[str, str]:
    """No keys but the agent's and no settings; the known hosts are the user's, whom ssh looks up by the user ID."""
    settings = "-F none -o BatchMode=yes -o IdentityFile=none"
    if agent is None:
        return {"GIT_SSH_COMMAND": f"ssh {settings} -o IdentityAgent=none"}
    return {"GIT_SSH_COMMAND": f"ssh {settings}", "SSH_AUTH_SOCK": agent}


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return shown(" ".join(lines)[:_LONGEST_REASON]) or f"exit status {done.returncode}"
