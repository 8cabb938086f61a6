"""Trees of directories to watch."""

import os

_FANOUT = 100
_DEPTH = 200


def directories(root: str, count: int, shape: str) -> None:
    """``count`` directories below ``root``, no files. ``wide``: a hundred in each, ``deep``: chains of 200, ``flat``:
    all beside each other.
    """
    match shape:
        case "wide":
            made = 0
            for upper in range(count):
                parent = f"{root}/{upper:05}"
                os.mkdir(parent)
                made += 1
                for lower in range(min(_FANOUT, count - made)):
                    os.mkdir(f"{parent}/{lower:02}")
                    made += 1
                if made >= count:
                    return
        case "deep":
            path = root
            for number in range(count):
                path = f"{root}/{number // _DEPTH:05}" if number % _DEPTH == 0 else f"{path}/d"
                os.mkdir(path)
        case "flat":
            for number in range(count):
                os.mkdir(f"{root}/{number:07}")
        case _:
            raise ValueError(shape)
