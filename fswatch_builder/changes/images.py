"""What differs between two images: the files that a container would see, and how it would run."""

from collections.abc import Sequence

from msgspec import Struct

from fswatch_builder._native import Change, LayerStack
from fswatch_builder.model.image import Image, Layer, RunConfig
from fswatch_builder.oci.files import add_layers
from fswatch_builder.oci.store import Store


class ConfigDifference(Struct, frozen=True):
    """One field of the configuration, named as in it. Invariant: ``before`` and ``after`` differ."""

    name: str
    before: object
    after: object


class ImageDifference(Struct, frozen=True):
    """``changes`` lead from the files of the one to those of the other. ``shared``: bottom layers that are the same."""

    changes: Sequence[Change]
    config: Sequence[ConfigDifference]
    shared: int


def compare_images(store: Store, one: Image, other: Image) -> ImageDifference:
    """Compares two images of the store; of layers that both have at the bottom each is read once.

    Creation time and history are no part of it. Raises BaseImageError, StoreError.
    """
    shared = _shared([layer.diff_id for layer in one.layers], [layer.diff_id for layer in other.layers])
    changes: Sequence[Change] = ()
    if len(one.layers) != shared or len(other.layers) != shared:
        changes = _compare_files(store, one.layers, other.layers, shared)
    return ImageDifference(changes, tuple(_compare_configs(one, other)), shared)


def _shared(one: Sequence[object], other: Sequence[object]) -> int:
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _compare_files(store: Store, one: Sequence[Layer], other: Sequence[Layer], shared: int) -> Sequence[Change]:
    before = LayerStack()
    add_layers(before, store, one[:shared])
    after = before.fork()
    add_layers(before, store, one[shared:])
    add_layers(after, store, other[shared:])
    return before.differences(after)


def _compare_configs(one: Image, other: Image) -> list[ConfigDifference]:
    pairs = [
        ("Platform", str(one.platform), str(other.platform)),
        ("Author", one.author, other.author),
        *((_docker_name(f), _value(one.config, f), _value(other.config, f)) for f in RunConfig.__struct_fields__),
    ]
    return [ConfigDifference(name, before, after) for name, before, after in pairs if before != after]


def _value(config: RunConfig, field: str) -> object:
    """Ports and volumes are members of an object: their order means nothing."""
    value = getattr(config, field)
    return tuple(sorted(value)) if field in ("exposed_ports", "volumes") else value


def _docker_name(field: str) -> str:
    """``working_dir`` is ``WorkingDir`` in the document."""
    return "".join(part.capitalize() for part in field.split("_"))
