"""What a package of a distribution looks like: 8,000 files, 54 MB, compressible as programs and texts are."""

import os
import random

FILES = 8_000
SIZE = 54 << 20
DIRECTORIES = 80
_SEED = 20_300_101
_WORDS = 5_000
_TEXT = 4 << 20


def make_package(directory: str, files: int = FILES, size: int = SIZE) -> None:
    """Writes ``files`` files of ``size`` bytes in all to ``directory``, the same bytes every time."""
    chance = random.Random(_SEED)
    text = _text(chance)
    weights = [chance.lognormvariate(0, 1.4) for _ in range(files)]
    scale = size / sum(weights)
    for number, weight in enumerate(weights):
        parent = os.path.join(directory, f"{number * DIRECTORIES // files:02}")
        os.makedirs(parent, exist_ok=True)
        length = int(weight * scale)
        with open(os.path.join(parent, f"file-{number:05}"), "wb") as file:
            while length > 0:
                start = chance.randrange(_TEXT // 2)
                part = text[start : start + min(length, _TEXT // 2)]
                file.write(part)
                length -= len(part)


def _text(chance: random.Random) -> bytes:
    """Words, and among them bytes that no compressor makes smaller: about three to one in all, as /usr is."""
    words = [chance.randbytes(chance.randrange(2, 6)).hex().encode() for _ in range(_WORDS)]
    parts: list[bytes] = []
    size = 0
    while size < _TEXT:
        part = b" ".join(chance.choices(words, k=60)) + chance.randbytes(24)
        parts.append(part)
        size += len(part)
    return b"".join(parts)
