"""Three kinds of digest that must not be mixed up."""

import re
from hashlib import sha256
from typing import Self

from msgspec import Struct

_FORM = re.compile(r"sha256:[0-9a-f]{64}")


class Digest(Struct, frozen=True, order=True):
    """Of a blob: ``sha256:`` and 64 lower-case hexadecimal digits, nothing else (it becomes part of a path)."""

    text: str

    def __post_init__(self) -> None:
        if not _FORM.fullmatch(self.text):
            raise ValueError(f"not a sha256 digest: {self.text!r}")

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Of bytes at hand."""
        return cls("sha256:" + sha256(content).hexdigest())

    @classmethod
    def from_raw(cls, raw: bytes) -> Self:
        """From the 32 bytes themselves."""
        return cls("sha256:" + raw.hex())

    @property
    def hex(self) -> str:
        """The hexadecimal digits alone."""
        return self.text.removeprefix("sha256:")

    @property
    def raw(self) -> bytes:
        """The 32 bytes."""
        return bytes.fromhex(self.hex)

    def __str__(self) -> str:
        return self.text


class DiffID(Digest, frozen=True):
    """Of a layer's uncompressed tar: it is what a layer *is*, whatever its compression."""


class ChainID(Digest, frozen=True):
    """Of a stack of layers: the state of a root file system (OCI image spec, "Layer ChainID")."""

    @classmethod
    def over(cls, parent: "ChainID | None", layer: DiffID) -> "ChainID":
        """Of ``layer`` on top of ``parent``; a first layer's chain ID is its diffID."""
        if parent is None:
            return cls(layer.text)
        return cls("sha256:" + sha256(f"{parent} {layer}".encode()).hexdigest())
