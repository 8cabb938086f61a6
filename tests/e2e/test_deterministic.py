"""The same input gives the same image, wherever and whenever it is built; and nothing flushes the host's disks."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.builds import Workshop
from tests.support.cli import fswatch_builder

pytestmark = pytest.mark.root

DOCKERFILE = """FROM base AS tools
RUN mkdir -p /opt/tool && echo '#!/bin/sh' >/opt/tool/run && chmod 755 /opt/tool/run
FROM base
ENV A=1
COPY d /d
RUN echo $A >/d/a && rm /d/f && mkdir /empty
COPY --from=tools /opt/tool /opt/tool
WORKDIR /w/v
RUN ln /d/a /d/b && date >/dev/null
"""


def image_id(workshop: Workshop, base: Path, store: Path, tracker: str) -> tuple[str, bytes]:
    workshop.write("Dockerfile", DOCKERFILE)
    iid, layout = store.with_suffix(".iid"), store.with_suffix(".layout")
    fswatch_builder(
        *("build", str(workshop.context), "--store", str(store), "--build-context", f"base={base}", "-t", "same:1"),
        *("--tracker", tracker, "--iidfile", str(iid), "--output", f"type=oci,dest={layout},tar=false"),
        env={"SOURCE_DATE_EPOCH": "1000000000"},
    )
    return iid.read_text(), (layout / "index.json").read_bytes()


def test_source_date_epoch_makes_builds_in_other_stores_at_other_times_equal(
    workshop: Workshop, tmp_path: Path
) -> None:
    """Another second, another store, another copy of the base, a context with other times, another tracker."""
    workshop.write("d/f")
    first = image_id(workshop, workshop.base, tmp_path / "one", "inotify")
    started = int(time.time())
    copy = tmp_path / "base-again"
    shutil.copytree(workshop.base, copy, symlinks=True)
    for directory, _, files in os.walk(copy):
        for name in files:
            path = os.path.join(directory, name)
            owner = os.lstat(os.path.join(workshop.base, os.path.relpath(path, copy)))
            os.lchown(path, owner.st_uid, owner.st_gid)
        owner = os.lstat(os.path.join(workshop.base, os.path.relpath(directory, copy)))
        os.chown(directory, owner.st_uid, owner.st_gid)
    os.utime(workshop.context / "d/f", (1_500_000_000, 1_500_000_000))
    while int(time.time()) == started:
        time.sleep(0.05)
    assert image_id(workshop, copy, tmp_path / "two", "inotify") == first
    assert image_id(workshop, copy, tmp_path / "three", "scan") == first


@pytest.mark.parametrize("tracker", ["inotify", "scan"])
def test_k2_sync_is_never_called(workshop: Workshop, tmp_path: Path, tracker: str) -> None:
    """sync(2) and syncfs(2) take minutes on a busy host. Own files are made durable by fsync, each its own."""
    if shutil.which("strace") is None:
        pytest.fail("strace is needed: apt-get install strace")
    workshop.write("d/f")
    workshop.write("Dockerfile", DOCKERFILE)
    log = tmp_path / "strace"
    command = [
        *("strace", "-f", "-qq", "-e", "trace=sync,syncfs,fsync,fdatasync", "-e", "signal=none", "-o", str(log)),
        *(sys.executable, "-m", "fswatch_builder", "build", str(workshop.context), "--store", str(workshop.store)),
        *("--build-context", f"base={workshop.base}", "--tracker", tracker),
        *("--output", f"type=oci,dest={tmp_path}/out,tar=false"),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    calls = re.findall(r"\b(sync|syncfs|fsync|fdatasync)\(", log.read_text())
    assert "fsync" in calls, "strace saw nothing"
    assert calls.count("sync") == calls.count("syncfs") == 0
