"""Images that come slowly, and looks at what a build has unpacked of them meanwhile."""

import gzip
import os
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.bases import hard_base
from tests.support.builds import Result, Workshop
from tests.support.images import (
    MadeImage,
    digest,
    layer_of,
    member,
)
from tests.support.kept import EPOCH
from tests.support.registry import Answer, FakeRegistry

LIST = "RUN ls -lR /first /l /odd /usr /acl /opaque /d /new >/list && echo x >>/l/a\n"
#: Not to be compressed, and more than all pipes and buffers on the way hold.
MUCH = os.urandom(6 << 20)
#: Hundredths of a second after which a server gives up to wait. It waits so long only where a test fails.
LONG = 2500


def packed(plain: bytes) -> bytes:
    return gzip.compress(plain, 1, mtime=0)


def lower(workshop: Workshop, tmp_path: Path, first: bytes = b"1") -> bytes:
    """A file, then much, then all that is hard in a base."""
    before = layer_of(member("first", first), member("much", MUCH))
    end = before.rindex(MUCH[-16:]) + 16  # MUCH ends with a block; what follows would end the archive
    return before[:end] + hard_base(workshop.base, tmp_path / "base.tar").read_bytes()


UPPER = layer_of(
    member("l", kind=tarfile.DIRTYPE),
    member("l/.wh.pair"),
    member("l/deep", kind=tarfile.DIRTYPE),
    member("l/deep/.wh..wh..opq"),
    member("l/deep/d", b"in place of all\n"),
    member("old", kind=tarfile.SYMTYPE, link="l/a"),
    member("new", kind=tarfile.DIRTYPE),
    member("new/last", b"last\n"),
)


def place(image: MadeImage, number: int, repository: str = "app") -> str:
    return f"/v2/{repository}/blobs/{digest(image.layers[number])}"


@dataclass
class Seen:
    """A server's look at what the build has unpacked: it goes on when this file is there."""

    store: Path
    file: str
    found: bool = False
    goes_on: bool = True

    def __call__(self) -> bool:
        clock = threading.Event()
        for _ in range(LONG):
            if self.found or any(self.store.glob(f"work/*/tree/rootfs/{self.file}")):
                self.found = True
                return self.goes_on
            clock.wait(0.01)
        return False


def held(image: MadeImage, number: int, seen: Callable[[], bool], share: float) -> Answer:
    body = image.layers[number]
    return Answer(body=body, held=int(len(body) * share), until=seen)


def from_registry(fake: FakeRegistry, lines: str = LIST, name: str = "app:1") -> str:
    return f"FROM {fake.host}/{name}\n{lines}"


def all_layers(result: Result) -> list[str]:
    return [layer.diff_id.text for layer in result.built.image.layers]


def same_as_plain(workshop: Workshop, result: Result, lines: str) -> bool:
    """Whether the layers are those of a build with a store of its own that keeps nothing unpacked."""
    plain = workshop.build(
        lines, store=workshop.store / "plain", keep_bases=False, tracker="scan", use_cache=False, build_args=EPOCH
    )
    return all_layers(plain) == all_layers(result)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in ("unpack ahead", "decompress")]
