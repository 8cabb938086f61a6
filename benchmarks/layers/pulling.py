"""An image comes from a registry and becomes a base: unpacked while it arrives, beside the same one after the other."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.row import Row, in_turns, row, seconds
from fswatch_builder._native import remove_tree
from fswatch_builder.build.bases import bases
from fswatch_builder.build.kept_bases import KeptBases
from fswatch_builder.build.meter import SILENT
from fswatch_builder.build.worksite import Base, Worksite
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.store import Store

MOST_RATIO = 0.75


def pull_rows(archive: str, files: int, work: str, repeat: int) -> Iterator[Row]:
    """From a registry as fast as the loopback is, where both parts want the processors, and from one that takes as long
    to send the layer as we to unpack it, where the most can be won: half of it.
    """
    with tempfile.TemporaryDirectory(dir=work) as layout:
        with Store.open(layout) as store:
            image = bases(archive, store, Platform.host())
            size = sum(layer.descriptor.size for layer in store.load_image(image).layers)
        with _registry(layout, 0) as address:
            unpacking = _parts(f"docker-image://{address}/base@{image}", work)[1]
        for name, rate in (("at the loopback's rate", 0), ("in the time of unpacking", round(size / unpacking))):
            with _registry(layout, rate) as address:
                value = f"docker-image://{address}/base@{image}"

                def ours(value: str = value) -> float:
                    return _at_once(value, work)

                def parts(value: str = value) -> float:
                    return sum(_parts(value, work))

                figures = in_turns({"at once": ours, "in turn": parts}, repeat)
            yield row(
                f"pull {name}, and unpack",
                "auto",
                files,
                figures["at once"],
                "s",
                peer="one after the other",
                peer_values=figures["in turn"],
                most=MOST_RATIO if rate else None,
            )


def _at_once(value: str, work: str) -> float:
    """Seconds until the first RUN could begin."""
    with _new_store(work) as store, KeptBases(store, SILENT) as kept, Worksite(store, "auto", kept) as site:

        def begun() -> None:
            _bring(site, store, bases(value, store, Platform.host(), kept))

        return seconds(begun)


def _parts(value: str, work: str) -> tuple[float, float]:
    """Seconds that the pull takes, and those from then until the first RUN could begin."""
    with _new_store(work) as store, KeptBases(store, SILENT) as kept, Worksite(store, "auto", kept) as site:
        images: list[Digest] = []
        pulling = seconds(lambda: images.append(bases(value, store, Platform.host())))
        return pulling, seconds(lambda: _bring(site, store, images[0]))


def _bring(site: Worksite, store: Store, image: Digest) -> None:
    layers = store.load_image(image).layers
    site.base = Base(layers, "bench-base")
    site.bring_to(layers)
    if site.layers != layers or site.armed.session is None:
        raise AssertionError("not all is unpacked, or nothing watches")


@contextmanager
def _new_store(work: str) -> Iterator[Store]:
    """In a directory of its own, nothing of earlier runs waiting to be written."""
    place = tempfile.mkdtemp(dir=work)
    os.sync()
    try:
        with Store.open(place) as store:
            yield store
    finally:
        remove_tree(os.fsencode(place))


@contextmanager
def _registry(layout: str, rate: int) -> Iterator[str]:
    """Its address. A process of its own, so that it takes no turns with our threads."""
    command = [sys.executable, "-m", "benchmarks.layers.serving", layout, str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        if server.stdin is None or server.stdout is None:
            raise AssertionError("it was started with pipes")
        yield f"127.0.0.1:{server.stdout.readline().strip()}"
        server.stdin.close()
