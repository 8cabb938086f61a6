"""The files of a commit, from a repository on the loopback."""

import os
import select
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from fswatch_builder import stopping
from fswatch_builder.errors import BuildContextError
from fswatch_builder.model.remote import GitTree
from fswatch_builder.remote.credentials import Credentials
from fswatch_builder.remote.git import check_out, resolve
from fswatch_builder.stopping import Stop, Stopped
from tests.support.web import Repository, Web


def files(path: Path) -> dict[str, str]:
    found = {}
    for directory, _, names in os.walk(path):
        for name in names:
            file = Path(directory, name)
            found[str(file.relative_to(path))] = file.read_text() if not file.is_symlink() else f"-> {file.readlink()}"
    return found


def taken(tree: GitTree, place: Path) -> dict[str, str]:
    return files(Path(os.fsdecode(check_out(tree, resolve(tree), str(place)).rootfs.path)))


def test_refs(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit({"f": "1"})
    repository.git("tag", "light")
    repository.git("tag", "--annotate", "--message=x", "heavy")
    repository.git("branch", "old")
    repository.git("update-ref", "refs/pull/7/head", first)
    last = repository.commit({"f": "2"})
    repository.git("branch", "both", last)
    repository.git("tag", "both", first)
    tree = GitTree(repository.url)
    refs = {
        "": last,
        "main": last,
        "refs/heads/main": last,
        "old": first,
        "light": first,
        "heavy": first,  # the commit, not the tag's own object
        "refs/tags/heavy": first,
        "pull/7/head": first,
        "both": last,  # a branch goes before a tag
        "refs/tags/both": first,
        first: first,
    }
    assert {ref: resolve(replace(tree, ref=ref)) for ref in refs} == refs
    for number, ref in enumerate(("", "heavy", "pull/7/head", first)):
        text = "1" if refs[ref] == first else "2"
        assert taken(replace(tree, ref=ref), tmp_path / str(number)) == {"f": text}


def test_a_ref_that_is_not_there(repository: Repository) -> None:
    repository.commit({"f": "1"})
    with pytest.raises(BuildContextError, match="has no branch or tag mai"):
        resolve(GitTree(repository.url, "mai"))


def test_no_repository(web: Web, tmp_path: Path) -> None:
    with pytest.raises(BuildContextError, match="git ls-remote failed"):
        resolve(GitTree(f"{web.url}/none.git"))
    with pytest.raises(BuildContextError, match="cannot fetch commit"):
        check_out(GitTree(f"{web.url}/none.git", "a" * 40), "a" * 40, str(tmp_path / "x"))


def test_the_commit_must_have_the_checksum(repository: Repository) -> None:
    commit = repository.commit({"f": "1"})
    tree = GitTree(repository.url, "main", commit=commit[:12])
    assert resolve(tree) == commit
    with pytest.raises(BuildContextError, match="does not match the checksum 0000000"):  # hazard F11
        resolve(replace(tree, commit="0000000"))


def test_modes_times_and_no_repository_left(repository: Repository, tmp_path: Path) -> None:
    (repository.path / "x").write_text("#!")
    (repository.path / "x").chmod(0o700)
    repository.commit({"d/f": "1"})
    umask = os.umask(0o077)
    try:
        check_out(GitTree(repository.url), resolve(GitTree(repository.url)), str(tmp_path / "t"))
    finally:
        os.umask(umask)
    modes = {name: (tmp_path / "t" / name).stat().st_mode & 0o7777 for name in (".", "d", "d/f", "x")}
    assert modes == {".": 0o755, "d": 0o755, "d/f": 0o644, "x": 0o755}
    assert {int((tmp_path / "t" / name).stat().st_mtime) for name in modes} == {1_000_000_000}
    assert not (tmp_path / "t/.git").exists()


def test_files_are_as_new_as_their_checkout_if_asked_for(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"f": "1"})
    tree = GitTree(repository.url, mtime="checkout")
    check_out(tree, resolve(tree), str(tmp_path / "t"))
    assert (tmp_path / "t/f").stat().st_mtime > 1_000_000_000  # the commit's


def test_nothing_but_the_commit_is_fetched_if_asked_for(web: Web, repository: Repository, tmp_path: Path) -> None:
    repository.commit({"f": "1"})
    requests = []
    for only in (True, False):
        before = len(web.requests)
        with pytest.raises(BuildContextError, match="cannot fetch commit"):
            check_out(GitTree(repository.url, "main", fetch_by_commit=only), "a" * 40, str(tmp_path / str(only)))
        requests.append(len(web.requests) - before)
    assert requests[0] < requests[1]


def test_keeping_the_repository_keeps_no_password(repository: Repository, tmp_path: Path) -> None:
    commit = repository.commit({"f": "1"})
    url = repository.url.replace("http://", "http://u:secret@")
    check_out(GitTree(url, keep_git_dir=True), commit, str(tmp_path / "t"))
    kept = (tmp_path / "t/.git/config").read_text()
    assert "secret" not in kept
    assert repository.url.replace("http://", "http://u@") in kept
    assert (tmp_path / "t/.git/HEAD").read_text().strip() == commit


def test_subdirectories_stay_inside(repository: Repository, tmp_path: Path) -> None:
    (repository.path / "up").symlink_to("../../../../etc")
    (repository.path / "abs").symlink_to("/etc")
    (repository.path / "in").symlink_to("d/e")
    repository.commit({"d/e/f": "1", "etc/g": "mine"})
    tree = GitTree(repository.url)
    assert taken(replace(tree, subdir="d/e"), tmp_path / "1") == {"f": "1"}
    assert taken(replace(tree, subdir="in"), tmp_path / "2") == {"f": "1"}
    assert taken(replace(tree, subdir="up"), tmp_path / "3") == {"g": "mine"}  # hazard L21: clamped
    assert taken(replace(tree, subdir="abs"), tmp_path / "4") == {"g": "mine"}
    assert taken(replace(tree, subdir="../../d"), tmp_path / "5") == {"e/f": "1"}
    for number, subdir in enumerate(("none", "d/e/f")):
        with pytest.raises(BuildContextError, match="has no directory"):
            taken(replace(tree, subdir=subdir), tmp_path / f"no{number}")


def test_submodules(web: Web, repository: Repository, tmp_path: Path) -> None:
    inner = Repository(web, "inner")
    inner.commit({"g": "inner"})
    repository.git("submodule", "--quiet", "add", inner.url, "sub")
    repository.commit({"f": "1"})
    tree = GitTree(repository.url)
    got = taken(tree, tmp_path / "1")
    assert got.pop(".gitmodules")
    assert got == {"f": "1", "sub/g": "inner"}
    assert set(taken(replace(tree, submodules=False), tmp_path / "2")) == {".gitmodules", "f"}


@pytest.mark.parametrize("url", ["file:///etc", "/etc", "ext::sh -c touch% HERE", "--upload-pack=touch HERE"])
def test_a_submodule_reaches_nothing_but_the_network(repository: Repository, tmp_path: Path, url: str) -> None:
    """Hazard L22: what the repository says is never an option, a command or a path of this machine."""
    planted = tmp_path / "planted"
    url = url.replace("HERE", str(planted))
    commit = repository.commit({"f": "1"})
    repository.git("config", "--file=.gitmodules", "submodule.s.path", "s")
    repository.git("config", "--file=.gitmodules", "submodule.s.url", url)
    repository.git("add", ".gitmodules")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},s")
    repository.git("commit", "--quiet", "--message=m")
    tree = GitTree(repository.url)
    with pytest.raises(BuildContextError, match="git submodule failed"):
        taken(tree, tmp_path / "t")
    assert not planted.exists()


@pytest.mark.parametrize("tree", [GitTree("ext::sh -c id"), GitTree("file:///etc"), GitTree("/etc")])
def test_other_protocols_are_refused_by_git_itself(tree: GitTree) -> None:
    with pytest.raises(BuildContextError, match="not allowed"):
        resolve(tree)


def test_the_users_configuration_is_not_read(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text('[url "http://127.0.0.1:1/"]\n  insteadOf = http://\n[core]\n  autocrlf = true\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.autocrlf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    repository.commit({"f": "a\nb\n"})
    assert taken(GitTree(repository.url), tmp_path / "t") == {"f": "a\nb\n"}


def test_a_hook_of_a_template_is_not_run(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "template/hooks"
    hooks.mkdir(parents=True)
    hook = hooks / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    repository.commit({"f": "1"})
    taken(GitTree(repository.url), tmp_path / "t")
    assert not (tmp_path / "ran").exists()


def test_without_git_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildContextError, match="git is not installed"):
        resolve(GitTree("https://127.0.0.1:1/r.git"))


def test_j14_a_repository_is_fetched_by_the_proxy(
    repository: Repository, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers for any host: as a proxy it is asked for a whole URL."""
    repository.commit({"f": "1"})
    monkeypatch.setenv("http_proxy", web.url)
    assert taken(GitTree("http://elsewhere.invalid/r.git"), tmp_path / "t") == {"f": "1"}


@pytest.mark.parametrize("agent", [None, "/lent/agent"])
def test_ssh_has_no_keys_and_no_settings_but_those_that_are_lent(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agent: str | None
) -> None:
    """By a program that stands for ssh: `e2e/test_git_by_ssh.py` has a real one, where there is an sshd."""
    commit = repository.commit({"f": "1"})
    programs = tmp_path / "programs"
    programs.mkdir()
    told = tmp_path / "told"
    ssh = programs / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "${{SSH_AUTH_SOCK-none}} $*" >>{told}\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/of/the/environment")
    credentials = Credentials({"GIT_AUTH_TOKEN": b"t0ken"}, agent)
    tree = GitTree(f"git@host:{repository.path}")
    assert resolve(tree, credentials) == commit
    assert files(Path(os.fsdecode(check_out(tree, commit, str(tmp_path / "t"), credentials).rootfs.path))) == {"f": "1"}
    lines = told.read_text().splitlines()
    assert len(lines) >= 2
    for line in lines:
        assert line.startswith(f"{agent or 'none'} -F none -o BatchMode=yes -o IdentityFile=none ")
        assert ("-o IdentityAgent=none" in line) == (agent is None)
        assert "t0ken" not in line


def test_a_git_that_hangs_is_ended_with_its_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    git = tmp_path / "git"
    git.write_text(f"#!/bin/sh\nsleep 600 &\necho $! >{started}\nwait\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    running = []
    with Stop() as stop:

        def end() -> None:
            running.append(os.pidfd_open(int(started.read_text())))
            stop.set()

        thread = threading.Thread(target=end)
        thread.start()
        with stopping.under(stop), pytest.raises(Stopped):
            resolve(GitTree("https://example.invalid/r.git"))
        thread.join()
    assert select.select(running, [], [], 20)[0] == running
    os.close(running[0])
