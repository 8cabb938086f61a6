"""Which images a platform can run."""

import pytest

from fswatch_builder.model.platform import Platform


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("linux/riscv64", "linux/riscv64"),
    ],
)
def test_spellings(text: str, usual: str) -> None:
    assert str(Platform.parse(text)) == usual


@pytest.mark.parametrize(
    ("wanted", "candidates"),
    [
        ("linux/amd64", "amd64 386"),
        ("linux/amd64/v3", "amd64/v3 amd64/v2 amd64 386"),
        ("linux/386", "386"),
        ("linux/arm/v7", "arm/v7 arm/v6 arm/v5"),
        ("linux/arm/v5", "arm/v5"),
        ("linux/arm64", "arm64 arm/v8 arm/v7 arm/v6 arm/v5"),
        ("linux/arm64/v8.2", "arm64/v8.2 arm64/v8.1 arm64 arm/v8 arm/v7 arm/v6 arm/v5"),
        (
            "linux/arm64/v9.1",
            "arm64/v9.1 arm64/v9 arm64/v8.6 arm64/v8.5 arm64/v8.4 arm64/v8.3 arm64/v8.2 arm64/v8.1 arm64"
            " arm/v8 arm/v7 arm/v6 arm/v5",
        ),
        ("linux/s390x", "s390x"),
        ("linux/amd64/odd", "amd64/odd 386"),
        ("linux/arm64/odd", "arm64/odd arm/v8 arm/v7 arm/v6 arm/v5"),
    ],
)
def test_older_variants_serve_the_best_first(wanted: str, candidates: str) -> None:
    found = Platform.parse(wanted).candidates()
    assert [str(candidate) for candidate in found] == [f"linux/{text}" for text in candidates.split()]
