"""Builds in processes of their own, while something else happens."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.builds import Workshop


@contextmanager
def building(workshop: Workshop, name: str, dockerfile: str) -> Iterator["subprocess.Popen[str]"]:
    """A build of a Dockerfile that is called ``name``. Its progress is on standard error."""
    path = workshop.context / name
    path.write_text(dockerfile)
    command = [sys.executable, "-m", "fswatch_builder", "build", "--progress=plain", f"--store={workshop.store}"]
    command += [f"--build-context=base={workshop.base}", f"--file={path}", str(workshop.context)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()  # nothing, for one that has ended


def until(process: "subprocess.Popen[str]", text: str) -> str:
    """Its progress up to a line with ``text``, which has to come."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return "".join(seen)
    raise AssertionError("".join(seen))
