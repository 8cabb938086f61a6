"""Where COPY and ADD take files from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder.build.sources import Sources
from fswatch_builder.errors import BuildContextError
from fswatch_builder.model.plan import MainContext, NamedContext
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.step import CopyAction
from fswatch_builder.oci.store import Store

AMD64 = Platform("linux", "amd64")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """With the store in it, as where only the project's directory is kept from one run of a pipeline to the next."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/f").write_text("x")
    (tmp_path / "link").symlink_to("/cache")
    return tmp_path


@pytest.fixture
def sources(context: Path) -> Iterator[Sources]:
    with (
        Store.open(str(context / "cache/store")) as store,
        Sources(store, str(context), f"{context}/Dockerfile", {}) as opened,
    ):
        yield opened


@pytest.mark.parametrize("pattern", [".", "/", "*", "cache", "cache/store/", "cache/store/work", "link", "link/store"])
def test_k14_the_store_is_not_copied_into_itself(context: Path, sources: Sources, pattern: str) -> None:
    for source in (MainContext(), NamedContext("here", str(context), AMD64)):
        with pytest.raises(BuildContextError, match="holds the local store") as caught:
            sources.content(CopyAction(add=False, source=source, words=("src", pattern), dest="/"))
        assert ".dockerignore" in (caught.value.hint or "")


def test_what_lies_beside_the_store_can_be_copied(sources: Sources) -> None:
    (selection,) = sources.tree(MainContext()).select(["src", "cache/store/blobs"])
    assert selection.paths == (b"src", b"cache/store/blobs")


@pytest.mark.parametrize("line", ["cache", "cache/store", "**/work", "*\n!src"])
def test_a_context_without_the_store_can_be_copied(context: Path, sources: Sources, line: str) -> None:
    (context / ".dockerignore").write_text(f"{line}\n")
    (selection,) = sources.tree(MainContext()).select(["."])
    assert selection.paths == (b"",)
