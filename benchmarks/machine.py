"""What the figures were taken on: a figure without its machine says nothing."""

import os
import platform
import shutil
import subprocess


def describe(directory: str) -> dict[str, str]:
    """Processor, cores, memory, kernel, and the file system of ``directory``."""
    with open("/proc/cpuinfo") as table:
        model = next((line.split(":", 1)[1].strip() for line in table if line.startswith("model name")), "unknown")
    with open("/proc/meminfo") as table:
        memory_kib = int(table.readline().split()[1])
    kind = subprocess.run(["stat", "-f", "-c", "%T", directory], capture_output=True, text=True, check=True)
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory_kib / 2**20:.0f} GiB",
        "kernel": platform.release().split("-")[0],
        "file system": kind.stdout.strip(),
        "python": platform.python_version(),
    }


def version(*argv: str) -> str:
    """First line a tool prints of its version; ``not installed`` if there is none."""
    if shutil.which(argv[0]) is None:
        return "not installed"
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).strip().splitlines()[0]
