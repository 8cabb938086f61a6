"""Pulling: what is missing of an image is fetched, checked and put into the store, the manifest last."""

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from fswatch_builder import stopping
from fswatch_builder.errors import BaseImageError, RegistryError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import configuration, documents
from fswatch_builder.oci.documents import Index
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.registry.progress import Progress, Silent
from fswatch_builder.oci.store import Store

if TYPE_CHECKING:
    from fswatch_builder.oci.arrivals import Watcher
    from fswatch_builder.oci.registry.client import RegistryClient

_PARALLEL: Final = 3  # blobs at once, as dockerd does
#: Seconds after which a wait begins anew: the main thread may have begun it when Ctrl-C had just come, and not hear it.
_LOOK_S: Final = 1.0


def pull(
    store: Store,
    reference: Reference,
    platform: Platform,
    watcher: "Watcher | None" = None,
    *,
    progress: Progress | None = None,
) -> Digest:
    """Brings an image from its registry to the store: its manifest's digest. Raises RegistryError, BaseImageError.

    Where there is no choice the one there is is taken, whatever platform it is for: who asks has to look.

    Blobs that are here are not fetched again. Layers are compressed as the registry has them; that they hold what the
    configuration says (their diffIDs) is known only when they are unpacked.
    """
    from fswatch_builder.oci.registry.client import RegistryClient

    client = RegistryClient(reference.registry)
    try:
        with stopping.ending(client.stop):
            return _pull(client, store, reference, platform, watcher, progress or Silent())
    except (BaseImageError, RegistryError):
        stopping.check()  # what was cut short is not what it should be
        raise
    finally:
        client.close()


def _pull(
    client: "RegistryClient",
    store: Store,
    reference: Reference,
    platform: Platform,
    watcher: "Watcher | None",
    progress: Progress,
) -> Digest:
    what = reference.familiar()
    content, media_type = client.manifest(reference)
    read = documents.read_manifest(content, media_type, what)
    index: bytes | None = None
    if isinstance(read, Index):
        index = content
        chosen = read.choose(platform, what)
        content, media_type = client.manifest(reference, chosen.digest)
        read = documents.read_manifest(content, chosen.media_type or media_type, what)
        if isinstance(read, Index):
            raise BaseImageError(f"{what} is an index of indexes, which is not supported")
    _fetch(client, store, reference, [read.config], progress)
    config = store.read(read.config.digest)
    image = configuration.read(config, read, what)
    # An index has the last word on what its images are for.
    fits = index is not None or configuration.serves(config, platform, what)
    is_for = platform if fits else image.platform
    if watcher is not None:
        watcher.coming(image.layers)
    _fetch(client, store, reference, read.layers, progress)
    manifest = Descriptor(documents.manifest_media_type(content, media_type, what), store.put(content), len(content))
    if index is not None:
        store.put(index)  # so that the image is found by the index's digest, too
    if reference.digest is None:
        store.tag(reference, manifest, is_for)
    return manifest.digest


def _fetch(
    client: "RegistryClient", store: Store, reference: Reference, blobs: Sequence[Descriptor], progress: Progress
) -> None:
    # The same layer may be there several times.
    missing = [blob for blob in {blob.digest: blob for blob in blobs}.values() if not store.has(blob.digest)]
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="pull") as threads:
        try:
            running = [threads.submit(client.blob, reference, blob, store, progress) for blob in missing]
            done, others = wait(running, _LOOK_S, return_when=FIRST_EXCEPTION)
            while others and not any(future.exception() for future in done):
                done, others = wait(running, _LOOK_S, return_when=FIRST_EXCEPTION)
            stopping.check()
            for future in done:
                future.result()
        except BaseException:
            client.stop()
            threads.shutdown(cancel_futures=True)
            raise
