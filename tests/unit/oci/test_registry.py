"""The registry client against a registry that misbehaves."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from fswatch_builder.errors import BaseImageError, RegistryError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.registry import Received, client, pull
from fswatch_builder.oci.registry.auth import parse_challenges
from fswatch_builder.oci.registry.retry import RetryPolicy, retry_after_seconds
from fswatch_builder.oci.store import Store
from tests.support.images import MadeImage, digest, encode, make_image
from tests.support.registry import Answer, FakeRegistry, basic
from tests.support.stores import listed

AMD64 = Platform("linux", "amd64")


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    running = FakeRegistry()
    yield running
    running.close()


@pytest.fixture
def elsewhere() -> Iterator[FakeRegistry]:
    running = FakeRegistry()
    yield running
    running.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waiting takes no time here; how long it would have been is noted."""
    waited: list[float] = []
    monkeypatch.setattr(client.RegistryClient, "_pause", lambda _, seconds: waited.append(seconds))
    return waited


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def log_in(tmp_path: Path, host: str) -> str:
    (tmp_path / "docker").mkdir()
    header = basic("me", "secret")
    auths = {host: {"auth": header.removeprefix("Basic ")}}
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": auths}))
    return header


def pull_from(fake: FakeRegistry, store: Store, name: str = "app:1") -> str:
    return pull(store, Reference.parse(f"{fake.host}/{name}"), AMD64).text


def blob_path(image: MadeImage, repository: str = "app") -> str:
    return f"/v2/{repository}/blobs/{digest(image.layers[0])}"


def test_an_anonymous_token_is_fetched_once_and_used(fake: FakeRegistry, store: Store) -> None:
    image = make_image([{"a": b"1"}, {"b": b"2"}])
    fake.add("app", "1", image)
    fake.require = "Bearer t0ken"
    fake.challenge = f'Bearer realm="http://{fake.host}/token",service="fake",scope="repository:app:pull"'
    fake.token_service = {"answer": b'{"token": "t0ken", "expires_in": 300}'}
    assert pull_from(fake, store) == image.digest
    (asked,) = fake.asked("/token")
    assert "authorization" not in asked.headers
    assert "scope=repository%3Aapp%3Apull" in asked.path
    assert "service=fake" in asked.path


def test_credentials_go_to_the_token_service_and_the_token_to_the_registry(
    fake: FakeRegistry, store: Store, tmp_path: Path
) -> None:
    image = make_image()
    fake.add("app", "1", image)
    fake.require = "Bearer t0ken"
    fake.challenge = f'Bearer realm="http://{fake.host}/token",service="fake"'
    fake.token_service = {"authorization": log_in(tmp_path, fake.host), "answer": b'{"access_token": "t0ken"}'}
    assert pull_from(fake, store) == image.digest
    assert {request.headers.get("authorization") for request in fake.asked("/v2/app")} <= {None, "Bearer t0ken"}


def test_a_token_that_ran_out_is_fetched_again(fake: FakeRegistry, store: Store) -> None:
    image = make_image()
    fake.add("app", "1", image)
    fake.challenge = f'Bearer realm="http://{fake.host}/token",service="fake"'
    fake.require = "Bearer t0ken"
    fake.token_service = {"answer": b'{"token": "t0ken"}'}
    fake.queue[blob_path(image)] = [Answer(401, headers={"WWW-Authenticate": fake.challenge})]
    assert pull_from(fake, store) == image.digest
    assert len(fake.asked("/token")) == 2


def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(fake: FakeRegistry, store: Store) -> None:
    fake.require = "Bearer x"
    fake.challenge = f'Bearer realm="http://{fake.host}/token",service="fake"'
    for answer in (b'{"token": "hunter2\\nX: y"}', b'{"token": "hunter\\u00e4"}', b'{"token": ""}', b"hunter2", b"{}"):
        fake.token_service = {"answer": answer}
        with pytest.raises(RegistryError, match="no valid token") as caught:
            pull_from(fake, store)
        assert "hunter" not in f"{caught.value} {caught.value.__cause__}"


def test_an_identity_token_is_exchanged_by_post(fake: FakeRegistry, store: Store, tmp_path: Path) -> None:
    image = make_image()
    fake.add("app", "1", image)
    fake.require = "Bearer t0ken"
    fake.challenge = f'Bearer realm="http://{fake.host}/token",service="fake"'
    fake.token_service = {"answer": b'{"access_token": "t0ken"}'}
    (tmp_path / "docker").mkdir()
    auths = {fake.host: {"identitytoken": "refresh-me"}}
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": auths}))
    assert pull_from(fake, store) == image.digest
    (asked,) = fake.asked("/token")
    assert asked.method == "POST"
    assert b"grant_type=refresh_token" in asked.body
    assert b"refresh_token=refresh-me" in asked.body


def test_credentials_do_not_follow_a_redirect_to_another_host(
    fake: FakeRegistry, elsewhere: FakeRegistry, store: Store, tmp_path: Path
) -> None:
    image = make_image()
    fake.add("app", "1", image)
    fake.require = log_in(tmp_path, fake.host)
    fake.challenge = 'Basic realm="fake"'
    fake.content[blob_path(image)] = Answer(307, headers={"Location": f"http://{elsewhere.host}/cdn?signed=1"})
    elsewhere.content["/cdn"] = Answer(body=image.layers[0])
    assert pull_from(fake, store) == image.digest
    assert [request.headers.get("authorization") for request in elsewhere.requests if "/cdn" in request.path] == [None]


def test_another_host_that_asks_for_credentials_gets_none(
    fake: FakeRegistry, elsewhere: FakeRegistry, store: Store, tmp_path: Path
) -> None:
    image = make_image()
    fake.add("app", "1", image)
    fake.require = log_in(tmp_path, fake.host)
    fake.challenge = 'Basic realm="fake"'
    fake.content[blob_path(image)] = Answer(302, headers={"Location": f"http://{elsewhere.host}/v2/cdn"})
    elsewhere.queue["/v2/cdn"] = [Answer(401, headers={"WWW-Authenticate": 'Basic realm="give"'})] * 9
    with pytest.raises(RegistryError, match="does not accept the credentials"):
        pull_from(fake, store)
    assert {request.headers.get("authorization") for request in elsewhere.requests} == {None}


def test_a_relative_redirect_is_relative_to_the_last_url(fake: FakeRegistry, store: Store) -> None:
    image = make_image()
    fake.add("app", "1", image)
    fake.content[blob_path(image)] = Answer(307, headers={"Location": "/moved/once"})
    fake.content["/moved/once"] = Answer(308, headers={"Location": "twice"})
    fake.content["/moved/twice"] = Answer(body=image.layers[0])
    assert pull_from(fake, store) == image.digest


def test_redirects_in_a_circle_end(fake: FakeRegistry, store: Store) -> None:
    fake.content["/v2/app/manifests/1"] = Answer(302, headers={"Location": "/v2/app/manifests/1"})
    with pytest.raises(RegistryError, match="redirects more than"):
        pull_from(fake, store)


@pytest.mark.parametrize(
    "location", ["http://registry.example/blob", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://["]
)
def test_a_redirect_to_an_unencrypted_or_odd_place_is_refused(fake: FakeRegistry, store: Store, location: str) -> None:
    fake.content["/v2/app/manifests/1"] = Answer(302, headers={"Location": location})
    with pytest.raises(RegistryError, match=r"not encrypted|no sense"):
        pull_from(fake, store)


def test_a_token_service_without_encryption_gets_no_credentials(
    fake: FakeRegistry, store: Store, tmp_path: Path
) -> None:
    log_in(tmp_path, fake.host)
    fake.require = "Bearer x"
    fake.challenge = 'Bearer realm="http://tokens.example/token",service="fake"'
    with pytest.raises(RegistryError, match="not encrypted"):
        pull_from(fake, store)


def test_too_many_requests_waits_as_long_as_asked(fake: FakeRegistry, store: Store, waits: list[float]) -> None:
    image = make_image()
    fake.add("app", "1", image)
    fake.queue["/v2/app/manifests/1"] = [
        Answer(429, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}', {"Retry-After": "7"}),
        Answer(503, b"<html>", {"Retry-After": "2.5"}),
        Answer(502),
    ]
    assert pull_from(fake, store) == image.digest
    assert waits[:2] == [7, 2.5]
    assert 1 < waits[2] < 3


def test_waiting_past_the_deadline_is_not_even_begun(fake: FakeRegistry, store: Store, waits: list[float]) -> None:
    fake.content["/v2/app/manifests/1"] = Answer(429, headers={"Retry-After": "3600"})
    with pytest.raises(RegistryError, match="answered 429") as caught:
        pull_from(fake, store)
    assert waits == []
    assert "docker login" in (caught.value.hint or "")


def test_a_registry_in_trouble_is_given_up_after_some_attempts(
    fake: FakeRegistry, store: Store, waits: list[float]
) -> None:
    fake.content["/v2/app/manifests/1"] = Answer(
        500, b'{"errors":[{"code":"UNKNOWN","message":"disk \\u001b[31mgone"}]}'
    )
    with pytest.raises(RegistryError, match=r"answered 500 for .*: disk \?\[31mgone"):
        pull_from(fake, store)
    assert len(fake.asked("manifests/1")) == 5
    assert len(waits) == 4


def test_a_connection_that_breaks_in_a_blob_is_tried_again_from_the_start(
    fake: FakeRegistry, store: Store, waits: list[float]
) -> None:
    image = make_image([{"a": b"x" * 100_000}])
    fake.add("app", "1", image)
    fake.queue[blob_path(image)] = [Answer(body=image.layers[0], cut=20), Answer(body=image.layers[0], cut=0)]
    assert pull_from(fake, store) == image.digest
    assert len(waits) == 2


@pytest.mark.parametrize("more", [b"", b"more", b"x" * (1 << 20)])
def test_wrong_bytes_never_get_into_the_store(fake: FakeRegistry, store: Store, more: bytes) -> None:
    image = make_image()
    fake.add("app", "1", image)
    content = bytearray(image.layers[0])
    content[-1] ^= 1
    fake.content[blob_path(image)] = Answer(body=bytes(content) + more)
    with pytest.raises(RegistryError, match="wrong bytes"):
        pull_from(fake, store)
    assert store.find(Reference.parse(f"{fake.host}/app:1"), AMD64) is None
    assert store.find(Reference.parse(f"{fake.host}/app@{image.digest}"), AMD64) is None


def test_a_manifest_with_another_digest_is_refused(fake: FakeRegistry, store: Store) -> None:
    image, other = make_image(), make_image([{"other": b""}])
    fake.add("app", "1", image)
    path = f"/v2/app/manifests/{image.digest}"
    fake.content[path] = Answer(body=other.manifest, headers={"Content-Type": other.media_type})
    with pytest.raises(RegistryError, match="wrong bytes"):
        pull_from(fake, store, f"app@{image.digest}")
    fake.content["/v2/app/manifests/1"] = Answer(
        body=other.manifest, headers={"Content-Type": other.media_type, "Docker-Content-Digest": image.digest}
    )
    with pytest.raises(RegistryError, match="wrong bytes"):
        pull_from(fake, store)


def test_a_huge_manifest_is_not_read_into_memory(fake: FakeRegistry, store: Store) -> None:
    fake.content["/v2/app/manifests/1"] = Answer(body=b" " * (17 << 20))
    with pytest.raises(RegistryError, match="larger than"):
        pull_from(fake, store)


def test_blobs_that_are_here_are_not_fetched_again(fake: FakeRegistry, store: Store) -> None:
    shared = {"base": b"shared"}
    first, second = make_image([shared, shared]), make_image([shared, {"new": b""}])
    fake.add("app", "1", first)
    fake.add("app", "2", second)
    pull_from(fake, store, "app:1")
    assert len(fake.asked(blob_path(first))) == 1
    pull_from(fake, store, "app:2")
    assert len(fake.asked(blob_path(first))) == 1
    fake.requests.clear()
    pull_from(fake, store, "app:2")
    assert [request.method for request in fake.requests if "/blobs/" in request.path] == []


def test_the_only_image_there_is_is_taken_and_named_for_its_own_platform(fake: FakeRegistry, store: Store) -> None:
    fake.add("app", "1", make_image(architecture="arm64"))
    assert str(store.load_image(Digest(pull_from(fake, store))).platform) == "linux/arm64"
    assert [str(image.platform) for image in listed(store)] == ["linux/arm64"]


def test_docker_images_are_read_and_named_as_what_they_are(fake: FakeRegistry, store: Store) -> None:
    image = make_image(docker=True)
    fake.add("app", "1", image)
    pull_from(fake, store)
    (layer,) = store.load_image(next(iter(listed(store))).digest).layers
    assert layer.descriptor.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"
    index = json.loads(Path(store.directory, "index.json").read_text())
    assert index["manifests"][0]["mediaType"] == image.media_type


def test_an_old_schema_is_refused_by_name(fake: FakeRegistry, store: Store) -> None:
    fake.add_manifest("app", "1", encode({"schemaVersion": 1, "name": "app"}), "application/json")
    with pytest.raises(BaseImageError, match="schema"):
        pull_from(fake, store)


def test_an_unknown_host_is_told_at_once_with_a_way_out(
    store: Store, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def fail(*arguments: object, **more: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(RegistryError, match=r"registry\.invalid cannot be found: Name or service not known") as caught:
        pull(store, Reference.parse("registry.invalid/app:1"), AMD64)
    assert "--build-context" in (caught.value.hint or "")
    assert waits == []


def test_a_registry_that_is_not_there_is_told(fake: FakeRegistry, store: Store, waits: list[float]) -> None:
    fake.close()
    with pytest.raises(RegistryError, match=r"no connection to 127\.0\.0\.1"):
        pull_from(fake, store)
    assert len(waits) == 4


def test_plain_http_is_for_this_machine_only() -> None:
    assert client.is_loopback("localhost")
    assert client.is_loopback("127.8.9.1")
    assert client.is_loopback("[::1]")
    for host in ("localhost.example", "127.0.0.1.example", "10.0.0.1", "0.0.0.0", "::ffff:10.0.0.1"):
        assert not client.is_loopback(host)


@pytest.mark.parametrize("registry", ["[::1]:5000", "localhost", "127.0.0.1:1", "docker.io", "host.example:8443"])
def test_every_form_of_host_is_taken(store: Store, registry: str) -> None:
    client.RegistryClient(registry).close()


def test_a_proxy_is_not_asked_for_this_machine(
    fake: FakeRegistry, store: Store, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    image = make_image()
    fake.add("app", "1", image)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert pull_from(fake, store) == image.digest


def test_progress_is_told_to_the_end(fake: FakeRegistry, store: Store) -> None:
    image = make_image([{"a": b"x" * 1000}])
    fake.add("app", "1", image)
    told: SimpleQueue[Received] = SimpleQueue()
    pull(store, Reference.parse(f"{fake.host}/app:1"), AMD64, progress=told)
    last = {}
    while not told.empty():
        item = told.get()
        last[item.digest.text] = (item.received, item.size)
    assert last[digest(image.layers[0])] == (len(image.layers[0]),) * 2


def test_one_failing_blob_ends_the_others_even_while_they_wait(fake: FakeRegistry, store: Store) -> None:
    image = make_image([{str(n): b""} for n in range(20)])
    fake.add("app", "1", image)
    fake.content[f"/v2/app/blobs/{digest(image.layers[1])}"] = Answer(400)
    fake.content[blob_path(image)] = Answer(429, headers={"Retry-After": "100"})
    began = time.monotonic()
    with pytest.raises(RegistryError, match="answered 400"):
        pull_from(fake, store)
    assert time.monotonic() - began < 60
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pull")] == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("3", 3), (" 0.5 ", 0.5), ("-1", None), ("nan", None), ("inf", None), ("soon", None), ("", None)],
)
def test_retry_after_in_every_shape(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert (retry_after_seconds("Fri, 21 Oct 2095 07:28:00 GMT") or 0) > 10**9


def test_the_deadline_is_over_all_waits() -> None:
    policy = RetryPolicy(attempts=9, deadline_s=10)
    assert policy.wait(1, 0, "8") == 8
    assert policy.wait(2, 8, "8") is None
    assert policy.wait(9, 0, None) is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (['Bearer realm="https://a/t",service="s",scope="x:y:pull,push"'],
         [("bearer", {"realm": "https://a/t", "service": "s", "scope": "x:y:pull,push"})]),
        (['BASIC Realm="x"'], [("basic", {"realm": "x"})]),
        (['Basic realm="x", Bearer realm="y"'], [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})]),
        (["Negotiate", 'Basic realm="a \\"b\\""'], [("negotiate", {}), ("basic", {"realm": 'a "b"'})]),
        (["Bearer realm=https://a/t,service=s"], [("bearer", {"realm": "https://a/t", "service": "s"})]),
        (['"""', "", "=,=,="], []),
    ],
)  # fmt: skip
def test_challenges_in_every_shape(headers: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(challenge.scheme, dict(challenge.parameters)) for challenge in parse_challenges(headers)] == expected
