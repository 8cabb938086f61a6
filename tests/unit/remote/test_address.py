"""Which words are addresses, and what stands in them."""

import pytest

from fswatch_builder.model.remote import GitTree, HttpFile
from fswatch_builder.remote.address import remote_context, remote_source, shown, with_checksum, without_password

SHA1 = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "a",
        "/a/b.git",
        "./git@h:x",
        "../x.git",
        "dir/git@h:x",
        "a:b",
        "C:/x",
        "ftp://h/x",
        "file:///etc",
        "@h:x",
    ],
)
def test_paths(path: str) -> None:
    assert remote_source(path) is None


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("http://h/f", HttpFile("http://h/f")),
        ("https://h/f?x=1#frag", HttpFile("https://h/f?x=1")),
        ("HTTPS://h/f", HttpFile("HTTPS://h/f")),
        ("https://h/r.git", GitTree("https://h/r.git")),
        ("https://h/r.git/", HttpFile("https://h/r.git/")),
        ("http://u@h:8080/o/r.git#main", GitTree("http://u@h:8080/o/r.git", "main")),
        ("https://h/r.git#:sub/dir/", GitTree("https://h/r.git", "", "sub/dir")),
        ("https://h/r.git#a/b:c/d", GitTree("https://h/r.git", "a/b", "c/d")),
        ("git://h/r", GitTree("git://h/r")),
        ("ssh://git@h:22/r#v1", GitTree("ssh://git@h:22/r", "v1")),
        ("git@github.com:o/r.git#v1:d", GitTree("git@github.com:o/r.git", "v1", "d")),
        ("me@h:~/r?tag=v1", GitTree("me@h:~/r", "refs/tags/v1")),
        ("https://h/r.git?branch=b&subdir=s", GitTree("https://h/r.git", "refs/heads/b", "s")),
        ("https://h/r.git?ref=pull/1/head", GitTree("https://h/r.git", "pull/1/head")),
        ("https://h/r.git?keep-git-dir", GitTree("https://h/r.git", keep_git_dir=True)),
        (
            "https://h/r.git?submodules=false&mtime=checkout",
            GitTree("https://h/r.git", submodules=False, mtime="checkout"),
        ),
        (f"https://h/r.git?commit={SHA1}", GitTree("https://h/r.git", SHA1, commit=SHA1)),
        (f"https://h/r.git?tag=v1&checksum={SHA1[:8]}", GitTree("https://h/r.git", "refs/tags/v1", commit=SHA1[:8])),
        (
            "https://h/r.git?branch=b&fetch-by-commit=1",
            GitTree("https://h/r.git", "refs/heads/b", fetch_by_commit=True),
        ),
        ("https://h/r.git?subdir=s#v1", GitTree("https://h/r.git", "v1", "s")),
    ],
)
def test_addresses(text: str, source: object) -> None:
    assert remote_source(text) == source


@pytest.mark.parametrize(
    "text",
    [
        "https:///f",
        "https://h/a b",
        "https://h/a\nb",
        "ssh://-oProxyCommand=x/r",
        "https://h/r.git#--upload-pack=x",  # hazard L22
        "https://h/r.git#-x",
        "https://h/r.git#a..b",
        "https://h/r.git#a^{}",
        "https://h/r.git#+a",
        "https://h/r.git?ref=a&tag=b",
        "https://h/r.git?tag=a#b",
        "https://h/r.git?subdir=a#v:b",
        "https://h/r.git?ref=a&ref=a",
        "https://h/r.git?depth=1",
        "https://h/r.git?keep-git-dir=maybe",
        "https://h/r.git?mtime=now",
        "https://h/r.git?commit=xyz",
        f"https://h/r.git?commit={SHA1}&checksum={SHA1[::-1]}",
        "git@h:r#--x",
    ],
)
def test_addresses_that_cannot_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        remote_source(text)


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("github.com/o/r", "https://github.com/o/r.git"),
        ("github.com/o/r.git", "https://github.com/o/r.git"),
        ("github.com/o/r/", "https://github.com/o/r.git"),
    ],
)
def test_a_context_on_github_may_lack_the_scheme(text: str, remote: str) -> None:
    assert remote_context(text) == GitTree(remote)
    assert remote_context(f"{text}#v1:d") == GitTree(remote, "v1", "d")
    assert remote_source(text) is None


def test_checksums() -> None:
    assert with_checksum(HttpFile("http://h/f"), "sha256:" + "a" * 64) == HttpFile("http://h/f", "a" * 64)
    with pytest.raises(ValueError, match="invalid checksum"):
        with_checksum(HttpFile("http://h/f"), "sha512:" + "a" * 128)
    with pytest.raises(ValueError, match="two commits"):
        with_checksum(GitTree("git://h/r", commit="a" * 40), "b" * 40)


def test_a_password_is_never_shown() -> None:
    assert shown("https://u:secret@h/r.git#x") == "https://u:xxxxx@h/r.git#x"
    assert shown("https://u@h/r") == "https://u@h/r"
    assert (
        shown("clone of https://u:p@h/a and https://v:q@h/b") == "clone of https://u:xxxxx@h/a and https://v:xxxxx@h/b"
    )
    assert without_password("https://u:secret@h/r.git") == "https://u@h/r.git"
    for wrong in ("https://u:secret@/f", "https://u:secret@h/a b", "https://u:secret@h/r.git?depth=1"):
        with pytest.raises(ValueError, match=r"\w") as caught:
            remote_source(wrong)
        assert "secret" not in str(caught.value)
