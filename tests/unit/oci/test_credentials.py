"""Docker's configuration and helpers: who gets which secret, and that no error shows one."""

import base64
import json
import os
from pathlib import Path

import pytest

from fswatch_builder.errors import RegistryError
from fswatch_builder.oci.credentials import Credentials, find_credentials


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    return tmp_path / "config.json"


def helper(config: Path, name: str, script: str) -> None:
    program = config.parent / "bin" / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_no_file_no_credentials(config: Path) -> None:
    lookup = find_credentials("ghcr.io")
    assert lookup.credentials is None
    assert str(config) in lookup.why


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io", "index.docker.io"])
def test_docker_hub_has_an_old_key(config: Path, key: str) -> None:
    config.write_text(json.dumps({"auths": {key: auth("me:pass:word")}}))
    assert find_credentials("docker.io").credentials == Credentials("me", "pass:word")


@pytest.mark.parametrize("key", ["ghcr.io", "https://ghcr.io", "https://ghcr.io/", "http://ghcr.io/v2/"])
def test_keys_may_be_urls(config: Path, key: str) -> None:
    config.write_text(json.dumps({"auths": {key: auth("me:x")}}))
    assert find_credentials("ghcr.io").credentials == Credentials("me", "x")


@pytest.mark.parametrize(
    "key", ["ghcr.io.evil.example", "evil-ghcr.io", "ghcr.io:443", "sub.ghcr.io", "io", "ghcr.io/team", "*.io"]
)
def test_a_lookalike_gets_nothing(config: Path, key: str) -> None:
    config.write_text(json.dumps({"auths": {key: auth("me:x")}}))
    assert find_credentials("ghcr.io").credentials is None


def test_identity_tokens_and_plain_fields_are_read(config: Path) -> None:
    config.write_text(
        json.dumps({"auths": {"a": {"identitytoken": "t"}, "b": {"username": "u", "password": "p"}, "c": {}}})
    )
    assert find_credentials("a").credentials == Credentials(identity_token="t")
    assert find_credentials("b").credentials == Credentials("u", "p")
    assert find_credentials("c").credentials is None


def test_a_helper_is_asked_for_exactly_one_registry(config: Path) -> None:
    config.write_text(json.dumps({"credHelpers": {"ghcr.io": "one"}, "credsStore": "all"}))
    helper(
        config,
        "one",
        'read server; echo "{\\"ServerURL\\":\\"$server\\",\\"Username\\":\\"one-$server\\",\\"Secret\\":\\"s\\"}"',
    )
    helper(config, "all", 'read server; echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"all-$server\\"}"')
    assert find_credentials("ghcr.io").credentials == Credentials("one-ghcr.io", "s")
    assert find_credentials("quay.io").credentials == Credentials(identity_token="all-quay.io")
    assert find_credentials("docker.io").credentials == Credentials(identity_token="all-https://index.docker.io/v1/")


def test_a_helper_that_knows_nothing_leaves_the_file(config: Path) -> None:
    config.write_text(json.dumps({"credsStore": "empty", "auths": {"ghcr.io": auth("me:x")}}))
    helper(config, "empty", "echo 'credentials not found in native keychain'; exit 1")
    assert find_credentials("ghcr.io").credentials == Credentials("me", "x")
    assert "docker-credential-empty has none" in find_credentials("quay.io").why


def test_a_missing_helper_is_named_and_no_obstacle(config: Path) -> None:
    config.write_text(json.dumps({"credsStore": "desktop.exe"}))
    lookup = find_credentials("ghcr.io")
    assert lookup.credentials is None
    assert "docker-credential-desktop.exe" in lookup.why
    assert "not installed" in lookup.why


def test_a_helper_is_a_name_not_a_path(config: Path) -> None:
    config.write_text(json.dumps({"credsStore": "x/../../../tmp/evil"}))
    with pytest.raises(RegistryError, match="not the name of a credential helper"):
        find_credentials("ghcr.io")


@pytest.mark.parametrize("script", ["echo hunter2; exit 3", "echo hunter2", "echo hunter2 >&2; exit 1"])
def test_a_helper_that_fails_is_told_without_its_output(config: Path, script: str) -> None:
    config.write_text(json.dumps({"credsStore": "bad"}))
    helper(config, "bad", script)
    with pytest.raises(RegistryError, match="docker-credential-bad") as caught:
        find_credentials("ghcr.io")
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "content", ['{"auths": {"ghcr.io": {"auth": "hunter2!"}}}', '{"auths": "hunter2"}', "hunter2", "\xff"]
)
def test_a_broken_file_is_told_without_its_content(config: Path, content: str) -> None:
    config.write_bytes(content.encode("latin-1"))
    with pytest.raises(RegistryError) as caught:
        find_credentials("ghcr.io")
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_secrets_do_not_show_in_representations() -> None:
    assert "hunter2" not in repr(Credentials("me", "hunter2", "hunter2"))
