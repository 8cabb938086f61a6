"""Which file of a context is its Dockerfile."""

from pathlib import Path

import pytest

from fswatch_builder.build.contexts import find_dockerfile
from fswatch_builder.errors import DockerfileError


def test_small_letters_are_taken_where_there_is_no_other(tmp_path: Path) -> None:
    with pytest.raises(DockerfileError, match="there is no Dockerfile in the archive"):
        find_dockerfile(str(tmp_path), None, "the archive")
    for name in ("dockerfile", "Dockerfile"):
        (tmp_path / name).write_text("FROM scratch\n")
        assert find_dockerfile(str(tmp_path), None) == str(tmp_path / name)
    assert find_dockerfile(str(tmp_path), "other") == "other"
