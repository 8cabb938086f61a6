"""Which machine an image is for."""

import os
from dataclasses import dataclass
from typing import Self

_ALIASES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}


#: What Go knows for Linux: a word that is none of these is a slip of the pen.
_ARCHITECTURES = frozenset(
    "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """Operating system, architecture (Go's names) and variant ("" where there is none)."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``os/arch[/variant]`` or ``arch``, in any of the usual spellings. Raises ValueError."""
        parts = text.lower().split("/")
        if not all(parts) or len(parts) > 3:
            raise ValueError(f"not a platform: {text!r} (want os/arch or os/arch/variant)")
        if len(parts) == 1:
            parts = ["linux", *parts]
            if _ALIASES.get(parts[1], (parts[1], ""))[0] not in _ARCHITECTURES:
                raise ValueError(f"{text!r}: unknown operating system or architecture (want os/arch)")
        architecture, variant = _ALIASES.get(parts[1], (parts[1], ""))
        if len(parts) == 3:
            variant = parts[2]
        if architecture == "arm64" and variant == "v8":
            variant = ""
        if architecture == "arm" and not variant:
            variant = "v7"
        return cls(parts[0], architecture, variant)

    @classmethod
    def host(cls) -> Self:
        """Of the machine we run on."""
        return cls.parse(f"linux/{os.uname().machine}")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
