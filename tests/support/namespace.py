"""Python in a user namespace of its own, with limits that concern nobody else."""

import json
import os
import subprocess
import sys
from typing import Any

_LIMIT = """
import json, os, sys
for name, value in json.loads(sys.argv[1]).items():
    with open("/proc/sys/user/" + name, "w") as file:
        file.write(str(value))
"""


def run_limited(script: str, *arguments: str, **limits: int) -> Any:
    """Runs ``script`` with the namespace's limits set, such as ``max_inotify_watches``; returns the JSON it prints.

    ``sys.argv[2:]`` are the arguments. /proc/sys/user is per user namespace (namespaces(7)), so the host never notices.
    """
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", _LIMIT + script]
    done = subprocess.run(
        [*command, json.dumps(limits), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
