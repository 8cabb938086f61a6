"""Names of images, by Docker Hub's rules."""

import pytest

from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.reference import Reference

SHA = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("python", "docker.io/library/python:latest", "python:latest"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim", "python:3.12-slim"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("docker.io/python", "docker.io/library/python:latest", "python:latest"),
        ("index.docker.io/library/python:3", "docker.io/library/python:3", "python:3"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
        ("localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"),
        ("Host/x", "Host/x:latest", "Host/x:latest"),
        (f"python@{SHA}", f"docker.io/library/python@{SHA}", f"python@{SHA}"),
        (f"python:3@{SHA}", f"docker.io/library/python:3@{SHA}", f"python:3@{SHA}"),
        ("a__b/c-d--e.f:_x", "docker.io/a__b/c-d--e.f:_x", "a__b/c-d--e.f:_x"),
    ],
)
def test_names_are_completed_and_shortened(text: str, full: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == full
    assert reference.familiar() == familiar
    assert Reference.parse(full) == reference
    assert Reference.parse(familiar) == reference


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "Python", "user/App", "/x", "x/", "x//y", "x:", ":x", "x:tag:tag", "x:" + "t" * 129, "-x", "x-",
        "a___b", "a..b", "x@sha256:abc", "x@sha512:" + "a" * 128, "x@" + SHA.upper(), "x@", "a" * 64, "x y", "x\n",
        "x:1\n", "http://host/x", "../../etc", "host:port/x", "a/" + "b" * 300, "x@" + SHA + "/../..", "é",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not|is 64"):
        Reference.parse(text)


def test_a_name_without_its_digest_is_its_tag() -> None:
    assert Reference.parse(f"x@{SHA}").without_digest() == Reference.parse("x:latest")
    assert Reference.parse(f"x:1@{SHA}").without_digest() == Reference.parse("x:1")
    with pytest.raises(ValueError, match="neither"):
        Reference("docker.io", "x")
    assert Reference.parse(f"x:1@{SHA}").digest == Digest(SHA)
