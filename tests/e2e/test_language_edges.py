"""The language in whole builds, at its edges: how a RUN fails, what a base hands on, what is told before an error."""

import json
from pathlib import Path

import pytest

from fswatch_builder.build.mounting import Lent
from fswatch_builder.errors import RunError
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop, args
from tests.support.cli import fswatch_builder
from tests.support.images import MadeImage, dated, digest, encode, make_image, write_layout
from tests.support.stores import listed

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("line", "process", "code"),
    [
        ("RUN no-such-command", "/bin/sh -c no-such-command", 127),
        ('RUN ["/no/such", "x y"]', "/no/such x y", 127),
        # The first process of a PID namespace cannot send itself a deadly signal, so another one has to die of it.
        ("RUN sh -c 'kill -9 $$'; exit $?", "/bin/sh -c sh -c 'kill -9 $$'; exit $?", 137),
    ],
)
def test_a_run_that_fails_says_how_and_leaves_no_image(workshop: Workshop, line: str, process: str, code: int) -> None:
    with pytest.raises(RunError) as caught:
        workshop.build(f"FROM base\n{line}\n", names=(Reference.parse("x"),))
    assert caught.value.what == f'process "{process}" did not complete successfully: exit code: {code}'
    with Store.open(str(workshop.store)) as store:
        assert listed(store) == []


def test_no_frontend_is_ever_fetched(workshop: Workshop) -> None:
    """Nobody listens there: whoever asked would fail."""
    text = "# syntax=127.0.0.1:1/none:1\nFROM base\nRUN echo built\n"
    found = workshop.build(text, build_args=args(BUILDKIT_SYNTAX="127.0.0.1:1/other:1"))
    assert found.recorder.printed() == "built\n"


def test_a_line_that_cannot_be_read_is_told_after_the_warnings_and_with_all_its_lines(workshop: Workshop) -> None:
    workshop.write("Dockerfile", "FROM base AS Loud\nCOPY \\\n  x\n")
    done = fswatch_builder("build", f"--store={workshop.store}", "--progress=plain", str(workshop.context), check=False)
    assert done.returncode == 3
    assert "Dockerfile:2-3" in done.stderr
    assert done.stderr.index("WARN: StageNameCasing") < done.stderr.index("ERROR: COPY requires at least two arguments")


def test_a_secret_without_a_mode_is_for_root_to_read(workshop: Workshop) -> None:
    line = "RUN --mount=type=secret,id=s stat -c '%u %g %a' /run/secrets/s"
    found = workshop.build(f"FROM base\n{line}\n", lent=Lent(secrets={"s": b"x"}))
    assert found.recorder.printed() == "0 0 400\n"


def annotated(image: MadeImage) -> MadeImage:
    manifest = encode({**json.loads(image.manifest), "annotations": {"of": "the base"}})
    blobs = {**image.blobs, digest(manifest): manifest}
    return MadeImage(blobs, manifest, image.config, image.layers, image.media_type)


def test_of_a_base_the_history_stays_and_its_own_time_and_annotations_do_not(
    workshop: Workshop, tmp_path: Path
) -> None:
    layout = write_layout(tmp_path / "layout", {"x": annotated(dated(make_image(), 2001))})
    result = workshop.build("FROM other\nENV a=b\n", contexts={"other": f"oci-layout://{layout}"})
    image = result.built.image
    assert [line.created_by for line in image.history] == ["layer 0", "ENV a=b"]
    assert [line.created.year for line in image.history if line.created is not None] == [2024, 2024]
    assert image.created == image.history[-1].created
    with Store.open(result.store) as store:
        assert "annotations" not in json.loads(store.read(result.built.manifest.digest))
