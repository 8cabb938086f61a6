"""A Dockerfile that someone else wrote reaches for the files of the host."""

from pathlib import Path
from typing import NoReturn

import pytest

from fswatch_builder.errors import BaseImageError, DockerfileError, RegistryError
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets"
    directory.mkdir()
    (directory / "key").write_text("the key\n")
    return directory


@pytest.mark.parametrize("spelling", ["{0}", "{0}/", "./{0}", "oci-layout://{0}", "docker-image://{0}", "file://{0}"])
def test_from_takes_no_directory_of_the_host(workshop: Workshop, secrets: Path, spelling: str) -> None:
    with pytest.raises(BaseImageError, match="not an image name"):
        workshop.build(f"FROM {spelling.format(secrets)}\n")


def test_a_directory_that_is_called_like_an_image_is_none(
    workshop: Workshop, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def pull(_store: Store, reference: Reference, _platform: Platform) -> NoReturn:
        asked.append(str(reference))
        raise RegistryError("not today")

    monkeypatch.setattr("fswatch_builder.oci.registry.pull", pull)
    monkeypatch.chdir(secrets.parent)
    for dockerfile in ("FROM secrets\n", "FROM base\nCOPY --from=secrets key /\n"):
        with pytest.raises(RegistryError):
            workshop.build(dockerfile)
    assert asked == ["docker.io/library/secrets:latest"] * 2


def test_copy_from_takes_no_directory_of_the_host(workshop: Workshop, secrets: Path) -> None:
    for spelling in (str(secrets), f"oci-layout://{secrets}"):
        with pytest.raises(BaseImageError, match="not an image name"):
            workshop.build(f"FROM base\nCOPY --from={spelling} key /\n")


def test_a_heredoc_names_no_file_of_the_host(workshop: Workshop, tmp_path: Path) -> None:
    for name in (f"{tmp_path}/planted", "../../../planted"):
        with pytest.raises(DockerfileError, match="cannot be"):
            workshop.build(f"FROM base\nCOPY <<{name} /\nx\n{name}\n")
    assert not list(tmp_path.rglob("planted"))
