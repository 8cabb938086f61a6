"""Cache keys (hazards H). What must differ differs, what must not does not."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from fswatch_builder.build.keys import (
    chain_of,
    content_key,
    copy_inputs,
    directory_inputs,
    git_identity,
    http_identity,
    run_inputs,
    selection_key,
    url_key,
)
from fswatch_builder.model.digest import ChainID, DiffID, Digest
from fswatch_builder.model.plan import ImageSource, MainContext
from fswatch_builder.model.remote import GitTree
from fswatch_builder.model.step import CopyAction, DirectoryAction, RunAction
from tests.unit.build.planning import AMD64, ARM64, actions

PARENT = ChainID.from_raw(bytes(32))
RUN = RunAction(AMD64, argv=("sh", "-c", "x"), env=("A=1",), cwd="/", user="")
COPY = CopyAction(add=False, source=MainContext(), words=("f",), dest="/d")
CONTENT = b"c" * 32


def run_key(parent: ChainID | None, action: RunAction, epoch: int | None, mounts: Sequence[bytes] = ()) -> Digest:
    return run_inputs(parent, action, epoch, mounts).key


def copy_key(parent: ChainID | None, action: CopyAction, content: bytes, epoch: int | None) -> Digest:
    return copy_inputs(parent, action, content, epoch).key


def directory_key(parent: ChainID | None, action: DirectoryAction, epoch: int | None) -> Digest:
    return directory_inputs(parent, action, epoch).key


def test_the_keys_are_pinned() -> None:
    # A change of their form without a new version in it would be a false hit, or forget everybody's steps.
    keys = [
        run_key(PARENT, RUN, 1, [b"m" * 32]),
        copy_key(PARENT, COPY, CONTENT, None),
        directory_key(None, DirectoryAction("/a", ""), None),
    ]
    assert [key.hex[:16] for key in keys] == ["3b00c39848fd1cbe", "a57d6a56912bf589", "7fb44704837eac74"]


@pytest.mark.parametrize(
    "other",
    [
        replace(RUN, argv=("sh", "-cx")),
        replace(RUN, platform=ARM64),
        replace(RUN, argv=("sh", "-c", "x", "")),
        replace(RUN, argv=("sh", "-c"), env=("x", "A=1")),
        replace(RUN, env=()),
        replace(RUN, env=("A=1", "B=2")),
        replace(RUN, cwd="/x"),
        replace(RUN, user="u"),
        replace(RUN, hostname="h"),
        replace(RUN, hostname=""),
        replace(RUN, script=("/.heredoc", "#!x")),
    ],
)
def test_whatever_a_run_can_see_is_in_its_key(other: RunAction) -> None:
    assert run_key(PARENT, other, None) != run_key(PARENT, RUN, None)


def test_a_proxy_is_in_no_key() -> None:
    assert run_key(PARENT, replace(RUN, proxies=("http_proxy=p",)), None) == run_key(PARENT, RUN, None)


def test_h15_the_parent_is_in_every_key_and_scratch_is_one() -> None:
    other = ChainID.from_raw(bytes(31) + b"\1")
    assert len({run_key(parent, RUN, None) for parent in (None, PARENT, other)}) == 3
    assert len({copy_key(parent, COPY, CONTENT, None) for parent in (None, PARENT, other)}) == 3


def test_the_epoch_is_in_every_key() -> None:
    directory = DirectoryAction("/a", "")
    assert len({run_key(PARENT, RUN, epoch) for epoch in (None, 0, 1)}) == 3
    assert len({copy_key(PARENT, COPY, CONTENT, epoch) for epoch in (None, 0, 1)}) == 3
    assert len({directory_key(PARENT, directory, epoch) for epoch in (None, 0, 1)}) == 3


@pytest.mark.parametrize(
    "other",
    [
        replace(COPY, add=True),
        replace(COPY, dest="/d/"),
        replace(COPY, chown="1"),
        replace(COPY, chmod="755"),
        replace(COPY, documents=(("a", "b"),)),
        replace(COPY, link=True),
        replace(COPY, parents=True),
        replace(COPY, unpack=True),
        replace(COPY, unpack=False),
    ],
)
def test_how_files_are_put_is_in_the_key_of_a_copy(other: CopyAction) -> None:
    assert copy_key(PARENT, other, CONTENT, None) != copy_key(PARENT, COPY, CONTENT, None)


def test_h5_h6_the_borders_of_documents_are_in_the_key() -> None:
    keys = {
        copy_key(PARENT, replace(COPY, documents=documents), b"", None)
        for documents in ((("a", "bc"),), (("ab", "c"),), (("a", "b"), ("c", "")), (("a", "x"),))
    }
    assert len(keys) == 4


def test_content_decides_and_not_where_it_came_from() -> None:
    elsewhere = replace(COPY, source=ImageSource("x", AMD64), words=("g",))
    assert copy_key(PARENT, elsewhere, CONTENT, None) == copy_key(PARENT, COPY, CONTENT, None)
    assert copy_key(PARENT, COPY, b"d" * 32, None) != copy_key(PARENT, COPY, CONTENT, None)


def test_kinds_of_steps_never_meet() -> None:
    assert directory_key(PARENT, DirectoryAction("", ""), None) != run_key(
        PARENT, RunAction(AMD64, (), (), "", ""), None
    )


def test_a_link_is_independent_of_what_is_below() -> None:
    linked = replace(COPY, link=True)
    assert copy_key(PARENT, linked, CONTENT, None) == copy_key(None, linked, CONTENT, None)


def test_the_order_and_kind_of_sources_count() -> None:
    parts = [("paths", b"a"), ("fetched", b"b")]
    keys = {content_key(some) for some in (parts, parts[::-1], parts[:1], [("fetched", b"a"), ("fetched", b"b")])}
    assert len(keys) == 4


GIT = GitTree("https://h/r.git", "main")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (git_identity(GIT, "c" * 40), git_identity(GIT, "d" * 40)),
        (git_identity(GIT, "c" * 40), git_identity(replace(GIT, subdir="x"), "c" * 40)),
        (git_identity(GIT, "c" * 40), git_identity(replace(GIT, submodules=False), "c" * 40)),
        (git_identity(GIT, "c" * 40), git_identity(replace(GIT, mtime="checkout"), "c" * 40)),
        (git_identity(GIT, "c" * 40), git_identity(replace(GIT, keep_git_dir=True), "c" * 40)),
        (http_identity("f", "a", None), http_identity("g", "a", None)),
        (http_identity("f", "a", None), http_identity("f", "b", None)),
        (http_identity("f", "a", 1), http_identity("f", "a", 2)),
        (http_identity("f", "a", 0), http_identity("f", "a", None)),
        (url_key("http://h/a"), url_key("http://h/b")),  # hazard H12
    ],
)
def test_what_is_fetched_is_told_by_content(one: bytes, other: bytes) -> None:
    assert one != other


def test_a_commit_is_the_same_from_any_repository() -> None:
    assert git_identity(GIT, "c" * 40) == git_identity(replace(GIT, remote="ssh://x/y", ref="v1"), "c" * 40)


#: Words, what is excluded, and whether parents are kept.
Selection = tuple[list[str], list[str], bool]


def test_h3_a_selection_is_its_tree_and_its_words() -> None:
    asked: tuple[Selection, ...] = (
        (["a"], [], False),
        (["a", "b"], [], False),
        (["ab"], [], False),
        (["a*"], [], False),
    )
    more: tuple[Selection, ...] = ((["a"], ["b"], False), (["a"], [], True))
    keys = {selection_key(chain, *one) for chain in (None, PARENT) for one in (*asked, *more)}
    assert len(keys) == 12


def test_chain_of_is_the_image_specs() -> None:
    first, second = DiffID.from_raw(b"1" * 32), DiffID.from_raw(b"2" * 32)
    assert chain_of([]) is None
    assert chain_of([first]) == ChainID(first.text)
    assert chain_of([first, second]) == ChainID.over(ChainID(first.text), second)


def key_of(text: str, **args: str) -> object:
    (action,) = (action for action in actions(text, args=args) if isinstance(action, RunAction))
    return run_key(PARENT, action, None)


def test_h1_a_declared_arg_that_only_the_script_reads_is_in_the_key() -> None:
    text = "FROM scratch\nARG V\nRUN ./script\n"
    assert key_of(text, V="1") != key_of(text, V="2")


def test_h9_an_arg_that_is_not_declared_is_not() -> None:
    text = "FROM scratch\nRUN ./script\n"
    assert key_of(text, V="1") == key_of(text, V="2")


def test_h4_a_copy_is_keyed_on_resolved_text() -> None:
    text = "FROM scratch\nARG D\nCOPY f $D\n"
    dests = {
        action.dest
        for value in "ab"
        for action in actions(text, args={"D": f"/{value}"})
        if isinstance(action, CopyAction)
    }
    assert dests == {"/a", "/b"}


def test_h8_labels_comments_and_the_like_leave_keys_alone() -> None:
    assert key_of("FROM scratch\nRUN x\n") == key_of("FROM scratch\nLABEL a=b\n# c\nEXPOSE 1\nCMD y\nRUN x\n")
