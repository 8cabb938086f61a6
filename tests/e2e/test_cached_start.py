"""What a build from the cache loads and opens: it waits for that, and for little else."""

import json
import os
import subprocess
import sys
from pathlib import Path

BUILD = """
import json, os, sys
from fswatch_builder.cli.app import main
try:
    main()
finally:
    with open(os.environ["LOADED"], "w") as file:
        json.dump(sorted(sys.modules), file)
"""
#: Of ours, with an archive as output. A few more are no harm: a hundred modules take some 25 ms.
MOST = 130


def test_a_build_from_the_cache_loads_nothing_that_only_work_needs(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\nWORKDIR /w\n")
    output = f"type=oci,dest={tmp_path}/out.tar"
    command: list[str | Path] = ["build", "--store", tmp_path / "store", "-o", output, context]
    loaded = []
    for number in range(2):
        env = {**os.environ, "LOADED": str(tmp_path / f"loaded{number}")}
        done = subprocess.run(
            [sys.executable, "-c", BUILD, *command], env=env, capture_output=True, text=True, check=True
        )
        loaded.append(set(json.loads((tmp_path / f"loaded{number}").read_text())))
    assert done.stderr.count("CACHED") == 2
    work = {f"fswatch_builder.{name}" for name in ("build.executor", "build.placing", "layering.writer")}
    assert work <= loaded[0]
    unwanted = {"ctypes", "dataclasses", "asyncio", "httpx", "ssl", "email", "rich", "psutil", "zstandard", "isal"}
    assert (unwanted | work) & loaded[1] == set()
    assert len([name for name in loaded[1] if name.startswith("fswatch_builder")]) <= MOST
