"""Memory does not grow with the size of a file: 10 GiB go through RUN, layer, compression and output in 256 MiB."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builds import Workshop
from tests.support.cgroup import memory_group

pytestmark = pytest.mark.root

SIZE = 10 << 30
#: Says what the build took, in KiB. (getrusage(2) would count what the process was before it executed this.)
BUILD = """
from fswatch_builder.cli.app import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])
"""


def test_k1_a_file_of_ten_gibibytes_is_packed_in_little_memory(workshop: Workshop, tmp_path: Path) -> None:
    """With zstd, which takes more than gzip."""
    workshop.write("Dockerfile", f"FROM base\nRUN echo begin >/large && truncate -s {SIZE} /large\n")
    command = [sys.executable, "-c", BUILD, "build", str(workshop.context), f"--store={workshop.store}", "-q"]
    command += [f"--build-context=base={workshop.base}", f"-otype=oci,dest={tmp_path}/x,tar=false"]
    command += ["--compression=zstd"]
    with memory_group(256 << 20) as group:
        done = group.run(command) if group else subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) < 100 << 10
    index = json.loads((tmp_path / "x/index.json").read_text())
    manifest = json.loads((tmp_path / "x/blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
    assert manifest["layers"][-1]["size"] < SIZE // 500
