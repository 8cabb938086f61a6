"""Archives that unpack to too much end in an error wherever they come from: ADD, contexts, named contexts."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from fswatch_builder.build.contexts import Fetching, open_context, temporary
from fswatch_builder.build.fetched import Fetched
from fswatch_builder.errors import BuildContextError
from fswatch_builder.model.remote import HttpFile
from fswatch_builder.oci.limits import UnpackLimits
from fswatch_builder.oci.store import Store
from fswatch_builder.remote.credentials import ANONYMOUS
from tests.support.builds import Recorder, Workshop
from tests.support.images import tar_of
from tests.support.web import Web, web_server

SIZE = 1 << 20
LIMITS = UnpackLimits(size=SIZE, entries=100)
DOCKERFILE = {"Dockerfile": b"FROM scratch\n"}


def many() -> bytes:
    return tar_of({**DOCKERFILE, **{f"f{number}": b"" for number in range(101)}})


def hole() -> bytes:
    """A sparse file of GNU's: 1 TiB in a few blocks."""
    header = tarfile.TarInfo("hole")
    header.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[386:410] = b"%011o\0%011o\0" % (0, 0)  # one piece of no bytes, at the start
    block[483:495] = b"\x80" + (1 << 40).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(1024)


ZEROS = tar_of({**DOCKERFILE, "zeros": bytes(2 * SIZE)})
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "zeros": (lambda: ZEROS, "limit"),
    "zeros in gzip": (lambda: gzip.compress(ZEROS), "limit"),
    "zeros in bzip2": (lambda: bz2.compress(ZEROS), "limit"),
    "zeros in xz": (lambda: lzma.compress(ZEROS), "limit"),
    "zeros in zstd": (lambda: zstandard.compress(ZEROS), "limit"),
    "many members": (many, "100"),
    "a hole": (hole, "limit"),
}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with web_server(tmp_path / "repositories") as served:
        yield served


def opened(spec: str, stdin: bytes = b"") -> None:
    with open_context(spec, None, io.BytesIO(stdin), temporary, Recorder(), Fetching(limits=LIMITS)):
        raise AssertionError("it was unpacked")


@pytest.mark.parametrize("name", BOMBS)
def test_l18_a_context_that_unpacks_to_too_much(
    name: str, tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, what = BOMBS[name]
    bomb = make()
    (tmp_path / "bomb").write_bytes(bomb)
    places = tmp_path / "places"
    places.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(places))
    for spec, stdin in ((str(tmp_path / "bomb"), b""), ("-", bomb), (web.put("/bomb", bomb), b"")):
        with pytest.raises(BuildContextError, match=what):
            opened(spec, stdin)
        assert os.listdir(places) == []


@pytest.mark.parametrize("name", BOMBS)
def test_l18_a_named_context_of_the_web_that_unpacks_to_too_much(name: str, tmp_path: Path, web: Web) -> None:
    make, what = BOMBS[name]
    with Store.open(str(tmp_path / "store")) as store:
        store.limits = LIMITS
        with Fetched(store, ANONYMOUS) as fetched, pytest.raises(BuildContextError, match=what):
            fetched.context(HttpFile(web.put("/bomb", make())))


@pytest.mark.root
@pytest.mark.parametrize("name", BOMBS)
def test_l18_an_archive_of_add_that_unpacks_to_too_much(name: str, tmp_path: Path, web: Web) -> None:
    make, what = BOMBS[name]
    context = tmp_path / "context"
    context.mkdir()
    workshop = Workshop(context, tmp_path / "store", context)
    workshop.write("bomb", make())
    url = web.put("/bomb", make())
    for line in ("ADD bomb /b", f"ADD --unpack {url} /b"):
        with pytest.raises(BuildContextError, match=what):
            workshop.build(f"FROM scratch\n{line}\n", limits=LIMITS)
    assert [name for name in os.listdir(workshop.store / "work") if not name.startswith(".")] == []


def test_what_is_within_the_limits_is_unpacked(tmp_path: Path, web: Web) -> None:
    url = web.put("/x", gzip.compress(tar_of(DOCKERFILE)))
    with open_context(url, None, io.BytesIO(), temporary, Recorder(), Fetching(limits=LIMITS)) as context:
        assert os.listdir(context.directory) == ["Dockerfile"]
