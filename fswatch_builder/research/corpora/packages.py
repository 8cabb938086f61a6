"""Made trees in the shape of what package managers leave: file sizes and places are drawn as they are found there."""

import os
import random

_TEXT = b"// a line of a made file, as long as lines are where people write programs\n"


def node_modules(directory: str, files: int) -> None:
    """Packages of about 15 files: package.json, README, lib/ and dist/; one in eight has node_modules/ of its own."""
    draw = random.Random(files)
    made = package = 0
    while made < files:
        home = f"{directory}/node_modules/package-{package:05}"
        made += _node_package(home, draw)
        if draw.randrange(8) == 0:
            for nested in range(draw.randint(1, 3)):
                made += _node_package(f"{home}/node_modules/nested-{nested}", draw)
        package += 1


def site_packages(directory: str, files: int) -> None:
    """Packages of about 25 files: modules in two levels, each with its __pycache__/, and a .dist-info/."""
    draw = random.Random(files)
    made = package = 0
    home = f"{directory}/lib/python3/site-packages"
    while made < files:
        name = f"package_{package:05}"
        made += _python_package(f"{home}/{name}", draw)
        for part in range(draw.randrange(3)):
            made += _python_package(f"{home}/{name}/part{part}", draw)
        for file in ("METADATA", "RECORD", "WHEEL"):
            made += _file(f"{home}/{name}-1.0.dist-info/{file}", draw, 2_000)
        package += 1


def _node_package(home: str, draw: random.Random) -> int:
    made = _file(f"{home}/package.json", draw, 1_500) + _file(f"{home}/README.md", draw, 5_000)
    for folder in ("lib", "dist"):
        for number in range(draw.randint(1, 12)):
            made += _file(f"{home}/{folder}/{number}.js", draw, 4_000)
    return made


def _python_package(home: str, draw: random.Random) -> int:
    made = 0
    for number in range(draw.randint(2, 8)):
        made += _file(f"{home}/module{number}.py", draw, 8_000)
        made += _file(f"{home}/__pycache__/module{number}.cpython-311.pyc", draw, 10_000)
    return made


def _file(path: str, draw: random.Random, mean: int) -> int:
    """One file; sizes are spread as an exponential distribution is."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    size = min(int(draw.expovariate(1 / mean)), 20 * mean)
    with open(path, "xb", buffering=0) as file:
        file.write(b"// %016x\n" % draw.getrandbits(64) + _TEXT * (size // len(_TEXT)))
    return 1
