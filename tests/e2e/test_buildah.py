"""The same Dockerfiles built by buildah: equal files, configuration and number of layers, but for what
``docs/differences.md`` lists.
"""

import gzip
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from fswatch_builder.oci.output import NamedImage, write_archive
from fswatch_builder.oci.store import Store
from tests.e2e.peer.buildah import Buildah
from tests.e2e.peer.cases import CASES, Case
from tests.e2e.peer.image import Described, config, differences, files
from tests.support.builds import Workshop
from tests.support.images import tar_of
from tests.support.registry import need

pytestmark = pytest.mark.root

OLD = 1_000_000_000
DOCUMENT = Path(__file__).parents[2] / "docs/differences.md"


def fill(context: Path) -> None:
    texts = ("a.txt", "b.txt", "a b.txt", "tree/x.c", "tree/sub/y.c", "modes/private", "modes/program", "hard/one")
    for name in texts:
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (context / "modes/private").chmod(0o600)
    (context / "modes/program").chmod(0o4755)
    os.link(context / "hard/one", context / "hard/two")
    (context / "links").mkdir()
    (context / "links/up").symlink_to("../a.txt")
    (context / "links/nowhere").symlink_to("/no/where")
    (context / "empty").mkdir()
    archive = tar_of({"in/f": b"x", "g": b"y"})
    (context / "plain.tar").write_bytes(archive)
    (context / "packed.tar.gz").write_bytes(gzip.compress(archive, mtime=0))
    (context / "no.tar.gz").write_bytes(b"no archive")
    (context / ".dockerignore").write_text("# not these\nDockerfile*\n**/*.md\n")
    (context / "tree/hidden.md").write_text("x")
    for directory, _, names in os.walk(context):
        for name in names:
            os.utime(os.path.join(directory, name), (OLD, OLD), follow_symlinks=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, busybox: Path) -> Workshop:
    """The base has all that buildah leaves behind for a RUN, so that this is no difference."""
    place = tmp_path_factory.mktemp("peer")
    base = place / "base"
    base.mkdir()
    subprocess.run(["cp", "-a", f"{busybox}/.", base], check=True)
    for name in ("proc", "sys", "dev", "run"):
        (base / name).mkdir()
    for name in ("hosts", "resolv.conf", "hostname"):
        (base / "etc" / name).write_text("")
    fill(place / "context")
    return Workshop(place / "context", place / "store", base)


@pytest.fixture(scope="module")
def buildah(shop: Workshop) -> Iterator[Buildah]:
    need("buildah")
    archive = shop.context.parent / "base.oci.tar"
    base = shop.build("FROM base\n")
    with Store.open(base.store) as store:
        write_archive(store, [NamedImage(base.built.manifest)], "oci", str(archive))
    peer = Buildah(shop.context.parent / "buildah", archive, 1)
    yield peer
    peer.remove()


def ours(shop: Workshop, case: Case) -> Described:
    values = [flag.partition("=")[2] for flag in case.flags if flag.startswith("--build-arg=")]
    labels = [flag.partition("=")[2] for flag in case.flags if flag.startswith("--label=")]
    targets = [flag.partition("=")[2] for flag in case.flags if flag.startswith("--target=")]
    result = shop.build(
        case.text,
        build_args=dict(value.split("=", 1) for value in values),
        labels=dict(label.split("=", 1) for label in labels),
        target=targets[0] if targets else None,
    )
    with Store.open(result.store) as store, ExitStack() as stack:
        document = json.loads(store.read(result.built.config))

        def opened(digest: object) -> IO[bytes]:
            return stack.enter_context(open(store.blob_path(digest), "rb"))  # type: ignore[arg-type]

        layers = result.built.image.layers
        found = files(opened(layer.descriptor.digest) for layer in layers)
    return Described(found, config(document), len(layers))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_images_differ_as_the_document_says_and_in_nothing_else(
    shop: Workshop, buildah: Buildah, case: Case
) -> None:
    one = ours(shop, case)
    other = buildah.build(shop.context, shop.context / "Dockerfile", case.flags)
    found = differences(one, other)
    assert {what: pair for what, pair in found.items() if what not in case.differs} == {}
    assert {*found} == {*case.differs}


def test_the_document_lists_what_the_cases_show() -> None:
    listed = set(re.findall(r"^\| (B\d+) \|", DOCUMENT.read_text(), re.MULTILINE))
    assert listed == {number for case in CASES for number in case.differs.values()}


def test_there_are_enough_of_them() -> None:
    assert len({case.text for case in CASES}) >= 60
