"""Annotations of an image's documents, by what they are on and for which platform."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from fswatch_builder.model.platform import Platform

Place = Literal["manifest", "index", "manifest-descriptor", "index-descriptor"]
"""In the manifest of an image; in the index; on the descriptor of either."""


class Annotation(Struct, frozen=True):
    """One; without a ``platform`` it is on the images for all of them. An index has none."""

    place: Place
    name: str
    value: str
    platform: Platform | None = None


def annotations_of(annotations: Iterable[Annotation], place: Place, platform: Platform | None = None) -> dict[str, str]:
    """Those on one document, as pairs. What is said for a platform goes before what is said for all."""
    here = [one for one in annotations if one.place == place and one.platform in (None, platform)]
    return {one.name: one.value for one in sorted(here, key=lambda one: one.platform is not None)}
