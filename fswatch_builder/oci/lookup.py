"""Which image of the store a user means: by name, by digest, by image ID or the start of one."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.errors import BaseImageError, OutputError, StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import configuration, documents
from fswatch_builder.oci.documents import fits
from fswatch_builder.oci.names import Entry
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store

_ID: Final = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")
_ALGORITHM: Final = "sha256:"
_FULL: Final = 64  # digits of a digest
_LISTED: Final = 5
#: Of notes: image IDs and the manifests they stand for.
_IMAGE_ID: Final = "image id"


class LocalImage(Struct, frozen=True):
    """An image of the store. ``config`` is its image ID; ``size``: bytes of its layers as stored.

    ``index``: the index that it is in, for its names stand for that.
    """

    manifest: Digest
    config: Digest
    platform: Platform
    created: datetime | None
    size: int
    labels: Mapping[str, str]
    names: tuple[Reference, ...] = ()
    index: Digest | None = None

    @property
    def named(self) -> Digest:
        """What its names stand for: the manifest, or the index that it is in."""
        return self.index or self.manifest

    def shown(self) -> str:
        """For people: its names, else its ID."""
        return ", ".join(name.familiar() for name in self.names) or self.config.hex[:12]


class Listing(Struct, frozen=True):
    """The images of a store, each once; and what is wrong with those that cannot be read."""

    images: tuple[LocalImage, ...]
    damaged: tuple[StoreError, ...] = ()


def list_images(store: Store) -> Listing:
    """All images of the store's index, each of an index of several by itself; one that is damaged does not hide the
    others. Raises StoreError.
    """
    found: dict[tuple[Digest, Digest], LocalImage] = {}
    damaged: dict[Digest, StoreError] = {}
    for entry in store.names.entries():
        try:
            here = _of_entry(store, entry, found)
        except (StoreError, BaseImageError) as error:
            shown = entry.name.familiar() if entry.name else str(entry.digest)
            damaged.setdefault(entry.digest, StoreError(f"{shown}: {error.what}", hint=error.hint))
            continue
        for image in here:
            names = image.names if entry.name is None else (*image.names, entry.name)
            found[entry.digest, image.manifest] = replace(image, names=names)
    return Listing(tuple(found.values()), tuple(damaged.values()))


def _of_entry(store: Store, entry: Entry, known: Mapping[tuple[Digest, Digest], LocalImage]) -> list[LocalImage]:
    """The images of one line of the index, with the names known so far."""
    if not entry.is_index:
        return [known.get((entry.digest, entry.digest)) or _read(store, entry.digest)]
    members: dict[Digest, Platform] = {}
    for member in store.members(entry.digest):
        members.setdefault(member.manifest.digest, member.platform)  # one may serve for several platforms
    return [
        known.get((entry.digest, digest)) or replace(_read(store, digest), platform=platform, index=entry.digest)
        for digest, platform in members.items()
    ]


def _read(store: Store, manifest: Digest) -> LocalImage:
    """Without its names. It is looked at and not used: nothing is leased."""
    what = f"image {manifest}"
    read = documents.read_manifest(store.read(manifest), "", what)
    if isinstance(read, documents.Index):
        raise StoreError(f"{what} is an index of several images")
    config = read.config.digest
    image = configuration.read(store.read(config), read, what)
    size = sum(layer.size for layer in read.layers)
    return LocalImage(manifest, config, image.platform, image.created, size, image.config.labels)


def remember(store: Store, manifest: Digest) -> Digest:
    """The image ID of a manifest, by which it is found from now on, without a name too. Raises StoreError,
    BaseImageError.
    """
    config = _read(store, manifest).config
    store.memory.note(_IMAGE_ID, config.raw, manifest.raw)
    return config


def _remembered(store: Store, digest: Digest) -> Digest:
    """The manifest of an image ID; what is none is a manifest's own. One that can only be read remembers nothing."""
    try:
        manifest = store.memory.recall(_IMAGE_ID, digest.raw)
    except OutputError:
        return digest
    return digest if manifest is None else Digest.from_raw(manifest)


def find_image(store: Store, text: str, platform: Platform | None = None) -> LocalImage:
    """The image that ``text`` means: ``NAME[:TAG]``, ``NAME@DIGEST``, a digest, an image ID or the start of one.

    As docker does it, a name goes before an ID. ``platform`` chooses among images of one name; without it this
    machine's is taken, else the only one there is. Raises BaseImageError: unknown, ambiguous, not for the platform.
    """
    reference = _reference(text)
    listing = list_images(store)
    if reference is not None and reference.digest is not None:
        return _by_digest(store, listing.images, reference.digest, text, platform)
    if reference is not None:
        named = [image for image in listing.images if reference in image.names]
        if named:
            return _for_platform(named, text, platform)
    match = _ID.fullmatch(text)
    if match:
        start = match[1]
        starting = [image for image in listing.images if any(own.hex.startswith(start) for own in _digests(image))]
        if len({_meant(image, start) for image in starting}) > 1:
            known = "; ".join(f"{image.config.hex[:12]} ({image.shown()})" for image in starting[:_LISTED])
            more = f" and {len(starting) - _LISTED} more" if len(starting) > _LISTED else ""
            raise BaseImageError(f"{text} is the start of several image IDs: {known}{more}", hint="give more digits")
        if starting:
            return _for_platform(starting, text, platform)
        if len(start) == _FULL:
            manifest = _remembered(store, Digest(_ALGORITHM + start))
            return _by_digest(store, listing.images, manifest, text, platform)
    raise _unknown(text, listing)


def find_index(store: Store, text: str) -> Digest | None:
    """The index that ``text`` means: its name, or its digest or the start of that. None: it means one image, or nothing
    that is here.
    """
    reference = _reference(text)
    if reference is not None and reference.digest is None:
        named = [entry.digest for entry in store.names.named(reference) if entry.is_index]
        if named:
            return named[0]
    match = _ID.fullmatch(text)
    start = reference.digest.hex if reference is not None and reference.digest is not None else match and match[1]
    if not start:
        return None
    if len(start) == _FULL:
        digest = Digest(_ALGORITHM + start)
        return digest if _is_index(store, digest) else None
    indexes = {entry.digest for entry in store.names.entries() if entry.is_index and entry.digest.hex.startswith(start)}
    images = (image for image in list_images(store).images if image.config.hex.startswith(start))
    return indexes.pop() if len(indexes) == 1 and not any(images) else None


def _is_index(store: Store, digest: Digest) -> bool:
    try:
        return store.has(digest) and bool(store.members(digest))
    except (BaseImageError, StoreError):  # a configuration, a layer
        return False


def _digests(image: LocalImage) -> tuple[Digest, ...]:
    """Those by which it is found."""
    return (image.config, image.manifest, *(() if image.index is None else (image.index,)))


def _meant(image: LocalImage, start: str) -> Digest:
    """What somebody means who gives the start of one of its digests: all images of an index are one thing."""
    if image.index is not None and image.index.hex.startswith(start):
        return image.index
    return image.config


def _reference(text: str) -> Reference | None:
    if text.startswith(_ALGORITHM):
        return None
    try:
        return Reference.parse(text)
    except ValueError as error:
        if _ID.fullmatch(text):
            return None
        raise BaseImageError(str(error), hint="an image is given as NAME[:TAG], NAME@DIGEST or ID") from None


def _by_digest(
    store: Store, images: Sequence[LocalImage], digest: Digest, text: str, platform: Platform | None
) -> LocalImage:
    """A digest in a name decides alone; it may be an index's."""
    manifest = store.find(Reference("localhost", "by-digest", digest=digest), platform or Platform.host())
    if manifest is None:
        raise BaseImageError(f"there is no image {text} in the store", hint=_HINT)
    for image in sorted(images, key=lambda image: image.index != digest):
        if image.manifest == manifest and (platform is None or fits(image.platform, platform)):
            return image
    image = _read(store, manifest)
    if platform is not None and not fits(image.platform, platform):
        raise BaseImageError(f"{text} is for {image.platform}, not for {platform}")
    return image


def _for_platform(images: Sequence[LocalImage], text: str, platform: Platform | None) -> LocalImage:
    """The exact one, else one that fits, else (if nobody asked for one) the only one."""
    wanted = platform or Platform.host()
    for choice in (
        [image for image in images if image.platform == wanted],
        [image for image in images if fits(image.platform, wanted)],
        list(images) if platform is None and len({image.manifest for image in images}) == 1 else [],
    ):
        if choice:
            return choice[0]
    known = ", ".join(sorted(str(image.platform) for image in images))
    raise BaseImageError(f"{text} is not here for {wanted}", hint=f"it is for {known}: choose with --platform")


_HINT: Final = "`fswatch-builder images` lists what there is"


def _unknown(text: str, listing: Listing) -> BaseImageError:
    from difflib import get_close_matches

    names = {name.familiar() for image in listing.images for name in image.names}
    spelled = {name: name for name in names} | {name.removesuffix(":latest"): name for name in names}
    near = get_close_matches(text, spelled, n=3, cutoff=0.6)
    repository = text.partition(":")[0]
    near += [name for name in sorted(names) if name.rpartition(":")[0] == repository]
    close = list(dict.fromkeys(spelled[name] for name in near))[:_LISTED]
    hint = f"did you mean {' or '.join(close)}?" if close else _HINT
    return BaseImageError(f"there is no image {text} in the store", hint=hint)
