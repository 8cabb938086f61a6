"""What a command loads before it begins: everybody waits for that, each time."""

import json
import subprocess
import sys

import pytest

from fswatch_builder.cli.app import COMMANDS

LOADED = """
import json, sys
from typer.main import get_command
from fswatch_builder.cli.app import app
command = get_command(app).commands[sys.argv[1]]
json.dump([command.name, sorted(sys.modules)], sys.stdout)
"""


def loaded(command: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOADED, command], capture_output=True, text=True, check=True)
    name, modules = json.loads(done.stdout)
    assert name == command
    return set(modules)


@pytest.mark.parametrize("command", ["build", "run", "images"])
def test_a_command_loads_no_other(command: str) -> None:
    others = {f"fswatch_builder.cli.{other}" for other in COMMANDS if other != command}
    assert others & loaded(command) == set()


def test_a_build_loads_neither_what_speaks_to_servers_nor_what_unpacks() -> None:
    unwanted = {"httpx", "ssl", "email", "rich", "psutil", "ctypes", "tarfile", "dataclasses"}
    unwanted |= {"fswatch_builder.remote.http", "fswatch_builder.remote.git", "fswatch_builder.build.unpacking"}
    unwanted |= {"fswatch_builder.build.executor", "fswatch_builder.tracking.selection", "fswatch_builder.oci.registry"}
    assert unwanted & loaded("build") == set()


def test_what_is_no_command_is_told_with_what_is_near() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fswatch_builder", "biuld", "."], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "No such command 'biuld'. Did you mean 'build'" in done.stderr
