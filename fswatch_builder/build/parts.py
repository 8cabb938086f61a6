"""What a step takes from elsewhere, as its key has it and as people know it."""

from typing import Final

from msgspec import Struct

#: What people call the files of a context, a stage or an image.
FILES: Final = "files"


class Part(Struct, frozen=True):
    """One thing. ``name``: what to call it; ``digest``: equal for equal ones. ``shown``: what of it may be printed.

    ``listing``: of files, what the digest was made of (``_native.Content``).
    """

    name: str
    digest: bytes
    shown: str = ""
    listing: bytes = b""


class Taken(Struct, frozen=True):
    """All of it: ``key`` stands for it in the key of the step."""

    key: bytes
    parts: tuple[Part, ...] = ()
