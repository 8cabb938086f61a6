"""A Dockerfile and a context that someone else wrote reach for the files of the host."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

from fswatch_builder.errors import BaseImageError, DockerfileError, RegistryError
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop
from tests.support.cli import fswatch_builder


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

    def pull(_store: Store, reference: Reference, *_: object) -> NoReturn:
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


@pytest.mark.parametrize("link", ["Dockerfile", "sub/Dockerfile", "sub"])
def test_a_dockerfile_that_links_out_of_the_context_is_not_read(workshop: Workshop, secrets: Path, link: str) -> None:
    (secrets / "Dockerfile").write_text("THE KEY\n")
    path = workshop.context / link
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(secrets if link == "sub" else secrets / "Dockerfile")
    file = path / "Dockerfile" if link == "sub" else path
    done = fswatch_builder("build", "--store", str(workshop.store), "-f", str(file), str(workshop.context), check=False)
    assert done.returncode == DockerfileError.exit_status
    assert "leads out of the context" in done.stderr
    assert "THE KEY" not in done.stderr + done.stdout


def test_a_dockerfile_that_links_within_the_context_is_read(workshop: Workshop) -> None:
    workshop.write("sub/real", "FROM scratch\nLABEL a=b\n")
    (workshop.context / "Dockerfile").symlink_to("sub/real")
    fswatch_builder("build", "--store", str(workshop.store), str(workshop.context))


def test_a_dockerfile_of_the_users_own_is_wherever_it_is(workshop: Workshop, secrets: Path) -> None:
    (secrets / "real").write_text("FROM scratch\nLABEL a=b\n")
    (secrets / "link").symlink_to("real")
    fswatch_builder("build", "--store", str(workshop.store), "-f", str(secrets / "link"), str(workshop.context))


def test_a_fifo_for_a_dockerfile_does_not_hang(workshop: Workshop) -> None:
    os.mkfifo(workshop.context / "Dockerfile")
    done = fswatch_builder("build", "--store", str(workshop.store), str(workshop.context), check=False)
    assert done.returncode == DockerfileError.exit_status
    assert "is not a file" in done.stderr
