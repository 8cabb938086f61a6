"""The C programs beside this file: the least that the kernel lets anybody do, and commands to be watched."""

import os
import subprocess


def compiled(name: str, directory: str) -> str:
    """Compiles ``name``.c into ``directory``, unless that was done; the path of the program."""
    program = os.path.join(directory, name)
    if not os.path.exists(program):
        source = os.path.join(os.path.dirname(__file__), f"{name}.c")
        subprocess.run(["cc", "-O2", "-Wall", "-pthread", "-o", program, source], check=True)
    return program


def own_clock(*argv: str) -> float:
    """Runs a program that prints the seconds its work took before anything else; those seconds."""
    return float(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()[0])
