"""Configurations of images: hostile ones refused, usual ones read, ours always the same bytes."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import Descriptor, Healthcheck, History, Image, Layer, RunConfig
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import configuration, documents, media_types
from fswatch_builder.oci.documents import Manifest

SHA = "sha256:" + "a" * 64
AMD64 = Platform("linux", "amd64")
LAYER = Descriptor(media_types.OCI_LAYER_GZIP, Digest(SHA), 3)


def config(**changes: Any) -> bytes:
    document: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [SHA]},
    }
    document.update(changes)
    return json.dumps(document).encode()


def image_of(content: bytes) -> Image:
    manifest = Manifest(Descriptor(media_types.OCI_CONFIG, Digest(SHA), len(content)), (LAYER,))
    return configuration.read(content, manifest, "the image")


@pytest.mark.parametrize("digest", ["", "sha256:abc", "sha512:" + "a" * 128, SHA + "\n"])
def test_digests_are_parsed_strictly(digest: str) -> None:
    with pytest.raises(BaseImageError, match="not a sha256 digest"):
        image_of(config(rootfs={"type": "layers", "diff_ids": [digest]}))


def test_layers_must_agree_with_the_configuration() -> None:
    with pytest.raises(BaseImageError, match="lists 2 layers, the manifest 1"):
        image_of(config(rootfs={"type": "layers", "diff_ids": [SHA, SHA]}))


def test_a_configuration_as_go_writes_it_is_read() -> None:
    image = image_of(
        config(
            variant="",
            created="2024-02-03T04:05:06.123456789+02:00",
            config={
                "Hostname": "", "User": "app", "ExposedPorts": {"80/tcp": {}, "53/udp": None}, "Env": ["A=1", "B="],
                "Cmd": None, "Entrypoint": ["/x"], "Volumes": None, "WorkingDir": "/w", "Labels": None,
                "OnBuild": ["RUN x"],
                "Shell": ["/bin/bash", "-c"], "StopSignal": "SIGTERM", "ArgsEscaped": True,
                "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5, "Retries": 3, "StartInterval": 7},
            },
            history=[{"created": "2024-01-01T00:00:00Z", "created_by": "x"}, {"empty_layer": True}],
        )
    )  # fmt: skip
    assert image.config == RunConfig(
        user="app", exposed_ports=("80/tcp", "53/udp"), env=("A=1", "B="), entrypoint=("/x",), cmd=None,
        working_dir="/w", shell=("/bin/bash", "-c"), on_build=("RUN x",), stop_signal="SIGTERM",
        healthcheck=Healthcheck(("CMD", "x"), 5, 0, 0, 7, 3),
    )  # fmt: skip
    assert image.created == datetime(2024, 2, 3, 2, 5, 6, 123457, tzinfo=UTC)
    assert [line.empty_layer for line in image.history] == [False, True]


def test_old_forms_of_commands_are_read() -> None:
    assert image_of(config(config={"Cmd": "/bin/sh", "Entrypoint": []})).config == RunConfig(
        cmd=("/bin/sh",), entrypoint=()
    )


@pytest.mark.parametrize(
    "history", [None, [], [{"empty_layer": True}], [{"created_by": "a"}, {"created_by": "b"}, {"empty_layer": True}]]
)
def test_a_history_that_does_not_fit_the_layers_is_mended(history: list[dict[str, Any]] | None) -> None:
    assert sum(not line.empty_layer for line in image_of(config(history=history)).history) == 1


def full_image() -> Image:
    return Image(
        Platform("linux", "arm", "v7"),
        RunConfig(
            user="1:2",
            exposed_ports=("80/tcp", "9/udp"),
            env=("B=2", "A=1", 'Q="<&>é\x7f'),
            entrypoint=(),
            cmd=("x",),
            volumes=("/a", "/b"),
            working_dir="/w",
            labels={"z": "1", "a": "2"},
            stop_signal="9",
            shell=("sh",),
            on_build=("RUN x",),
            healthcheck=Healthcheck(("NONE",), 1, 2, 3, 4, 5),
        ),
        (Layer(LAYER, DiffID(SHA)),),
        (History(datetime(2024, 1, 1, tzinfo=UTC), "RUN x", "me", "c"), History(created_by="ENV", empty_layer=True)),
        datetime(2024, 1, 2, 3, 4, 5, 600000, tzinfo=UTC),
        "me",
    )


def test_what_is_written_is_read_again() -> None:
    assert image_of(configuration.write(full_image())) == full_image()


def test_equal_images_give_equal_bytes() -> None:
    image = full_image()
    other = replace(
        image,
        created=image.created.astimezone(timezone(timedelta(hours=5))) if image.created else None,
        config=replace(image.config, labels={"a": "2", "z": "1"}, exposed_ports=("9/udp", "80/tcp")),
    )
    assert configuration.write(image) == configuration.write(other)
    assert b'"created":"2024-01-02T03:04:05.600000Z"' in configuration.write(image)
    assert configuration.write(image).startswith(b'{"created":')


def test_an_empty_image_is_short_but_complete() -> None:
    written = json.loads(configuration.write(Image(AMD64)))
    assert written == {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    assert json.loads(documents.write_manifest(Descriptor(media_types.OCI_CONFIG, Digest(SHA), 2), ()))["layers"] == []


@pytest.mark.parametrize(
    ("variant", "wanted", "fits"),
    [
        ("v6", Platform("linux", "arm", "v7"), True),
        ("v7", Platform("linux", "arm", "v6"), False),
        ("", Platform("linux", "arm", "v6"), True),  # as tools wrote it for years
        ("", Platform("linux", "arm64"), True),
        ("", Platform("linux", "amd64"), False),
    ],
)
def test_a_configuration_serves_for_what_runs_it(variant: str, wanted: Platform, fits: bool) -> None:
    config = json.dumps({"os": "linux", "architecture": "arm", "variant": variant}).encode()
    assert configuration.serves(config, wanted, "x") is fits


@pytest.mark.parametrize(
    ("stated", "means"),
    [
        ("2020-01-01T02:00:00+02:00", datetime(2020, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00+05:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:00:00-05:00", datetime(9999, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_times_are_in_utc_and_those_that_have_no_utc_are_taken_as_if(stated: str, means: datetime) -> None:
    image = image_of(config(created=stated, history=[{"created": stated}]))
    assert image.created == image.history[0].created == means
    assert image.created is not None
    assert image.created.utcoffset() == timedelta()
    assert image_of(configuration.write(image)) == image


def test_what_is_wrong_with_a_configuration_is_not_told_of_the_manifest() -> None:
    with pytest.raises(BaseImageError, match="the configuration of the image is not a valid document"):
        image_of(config(created="yesterday"))
