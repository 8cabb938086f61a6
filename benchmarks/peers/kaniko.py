"""kaniko's executor, built from source: nobody packages it."""

import os
import shutil
import subprocess

MODULE = "github.com/GoogleContainerTools/kaniko"
VERSION = "v1.23.2"


def executor(cache: str) -> str | None:
    """Its path, built from the Go module proxy if it is not there yet (minutes, once); None without Go."""
    path = os.path.join(cache, f"kaniko-{VERSION}")
    if os.path.exists(path):
        return path
    if shutil.which("go") is None:
        return None
    source = os.path.join(cache, "kaniko-build")
    os.makedirs(source, exist_ok=True)
    with open(os.path.join(source, "go.mod"), "w") as file:
        file.write(f"module bench\n\ngo 1.23\n\nrequire {MODULE} {VERSION}\n")
    with open(os.path.join(source, "tools.go"), "w") as file:
        file.write(f'//go:build tools\n\npackage tools\n\nimport _ "{MODULE}/cmd/executor"\n')
    command = ["go", "build", "-mod=mod", "-o", path, f"{MODULE}/cmd/executor"]
    subprocess.run(command, cwd=source, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    return path
