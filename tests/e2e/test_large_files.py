"""Memory does not grow with the size of a file: 10 GiB go through RUN, layer, compression and output in 256 MiB."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.builds import Workshop
from tests.support.cgroup import memory_group

pytestmark = pytest.mark.root

SIZE = 10 << 30
#: Says what the largest process of the build took, in KiB.
BUILD = """
import resource, sys
from fswatch_builder.cli.app import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_k1_a_file_of_ten_gibibytes_is_packed_in_little_memory(
    workshop: Workshop, tmp_path: Path, compression: str
) -> None:
    workshop.write("Dockerfile", f"FROM base\nRUN echo begin >/large && truncate -s {SIZE} /large\n")
    command = [sys.executable, "-c", BUILD, "build", str(workshop.context), f"--store={workshop.store}", "-q"]
    command += [f"--build-context=base={workshop.base}", f"-otype=oci,dest={tmp_path}/x,tar=false"]
    command += [f"--compression={compression}"]
    with memory_group(256 << 20) as group:
        assert group is not None, "no memory cgroup can be made here"
        done = group.run(command)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) < 100 << 10
    index = json.loads((tmp_path / "x/index.json").read_text())
    manifest = json.loads((tmp_path / "x/blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
    assert manifest["layers"][-1]["size"] < SIZE // 500
