"""``track`` on a small tree."""

import subprocess
from pathlib import Path

from fswatch_builder.tracking.registry import trackers
from tests.support.cli import fswatch_builder

#: Those that can follow a command where it runs.
IN_PLACE = [name for name, tracker in trackers().items() if tracker.in_place]

#: Something of every kind.
SCRIPT = """
echo a=22 >etc/conf; chmod 4755 tool; rm -r old; rm etc/kind; mkdir etc/kind; ln -sf tool link
mkdir new; echo hi >new/f; ln new/f new/g
echo 'the command speaks'; echo 'and complains' >&2
"""


def track(tree: Path, *arguments: str, script: str = SCRIPT, check: bool = True) -> subprocess.CompletedProcess[str]:
    return fswatch_builder("track", *arguments, str(tree), "--", "sh", "-ec", script, cwd=str(tree), check=check)
