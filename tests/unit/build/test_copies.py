"""What COPY and ADD ask for, and what they refuse."""

import pytest

from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.remote import GitTree, HttpFile
from fswatch_builder.model.step import CopyAction
from tests.unit.build.planning import actions

SHA = "0" * 64
COMMIT = "a" * 40


def only(line: str) -> CopyAction:
    (action,) = actions(f"FROM scratch\nARG V=val\n{line}\n")
    assert isinstance(action, CopyAction)
    return action


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("COPY a $V /d/", ("a", "val")),
        ("ADD http://h/p/$V /d/", (HttpFile("http://h/p/val"),)),
        ("ADD a https://h/x b /d/", ("a", HttpFile("https://h/x"), "b")),
        (f"ADD --checksum=sha256:{SHA} https://h/x /d", (HttpFile("https://h/x", SHA),)),
        ("ADD https://h/r.git /d", (GitTree("https://h/r.git"),)),
        ("ADD --keep-git-dir git@h:o/r.git#v1:sub /d", (GitTree("git@h:o/r.git", "v1", "sub", keep_git_dir=True),)),
        ("ADD --keep-git-dir=false https://h/r.git?keep-git-dir=1 /d", (GitTree("https://h/r.git"),)),
        (f"ADD --checksum={COMMIT} ssh://git@h/r /d", (GitTree("ssh://git@h/r", commit=COMMIT),)),
        ("ADD --checksum=AAAAAAA https://h/r.git#v1 /d", (GitTree("https://h/r.git", "v1", commit="aaaaaaa"),)),
    ],
)
def test_words(line: str, words: tuple[object, ...]) -> None:
    assert only(line).words == words


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("COPY https://h/x /d", "source can't be a URL for COPY: https://h/x"),
        ("COPY https://h/r.git /d", "source can't be a git ref for COPY: https://h/r.git"),
        ("COPY git@h:o/r.git /d", "source can't be a git ref for COPY: git@h:o/r.git"),
        (f"ADD --checksum=sha256:{SHA} a /d", "checksum requires HTTP(S) or Git sources"),
        (f"ADD --checksum=sha256:{SHA} http://h/a http://h/b /d/", "checksum can't be specified for multiple sources"),
        (f"ADD --checksum=sha256:{SHA} <<E /d\nE", "checksum can't be specified for multiple sources"),
        (
            "ADD --checksum=sha256:0 http://h/a /d",
            "invalid checksum 'sha256:0': want sha256: and 64 hexadecimal digits",
        ),
        (
            "ADD --checksum=main https://h/r.git /d",
            "invalid checksum 'main': want the ID of a commit, 7 digits of it at least",
        ),
        ("ADD https://h/r.git#--upload-pack=x /d", "invalid git ref '--upload-pack=x'"),
    ],
)
def test_refused(line: str, what: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        only(line)
    assert caught.value.what == what
    assert caught.value.where is not None


@pytest.mark.parametrize(
    ("line", "local", "remote"),
    [
        ("ADD a http://h/x /d/", True, False),
        ("ADD --unpack a http://h/x /d/", True, True),
        ("ADD --unpack=false a http://h/x /d/", False, False),
    ],
)
def test_what_is_extracted(line: str, local: bool, remote: bool) -> None:
    action = only(line)
    assert [action.extracts(word) for word in action.words] == [local, remote]


def test_copy_extracts_nothing() -> None:
    action = only("COPY a.tar /d/")
    assert not action.extracts("a.tar")


def test_a_mode_makes_a_link_an_ordinary_copy() -> None:
    assert only("COPY --link a /d").link
    assert not only("COPY --link --chmod=755 a /d").link


def test_exclude_is_not_expanded() -> None:
    assert only("COPY --exclude=$V --exclude=!b a /d").exclude == ("$V", "!b")
