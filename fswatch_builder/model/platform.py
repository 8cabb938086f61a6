"""Which machine an image is for."""

import os
from collections.abc import Iterable
from typing import Self

from msgspec import Struct

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
ARCHITECTURES = frozenset(
    "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x".split()  # noqa: SIM905
)


_LEAST_ARM = 5
_LAST_MINOR = 9  # of arm64 v8


class Platform(Struct, frozen=True, order=True):
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
            if _ALIASES.get(parts[1], (parts[1], ""))[0] not in ARCHITECTURES:
                raise ValueError(f"{text!r}: unknown operating system or architecture (want os/arch)")
        architecture, variant = _ALIASES.get(parts[1], (parts[1], ""))
        if len(parts) == 3:
            variant = parts[2]
        return cls(parts[0], architecture, _usual(architecture, variant))

    @classmethod
    def host(cls) -> Self:
        """Of the machine we run on."""
        return cls.parse(f"linux/{os.uname().machine}")

    def candidates(self) -> "tuple[Platform, ...]":
        """What images may be made for that this platform runs, the best first: itself, then older variants.

        As containerd (``platforms.Only``) and with it Docker choose: arm/v7 takes v6 and v5, arm64 takes older arm64
        and then 32-bit arm, amd64 takes lower levels and then 386. Never anything newer.
        """
        match self.architecture:
            case "amd64":
                return (*self._variants(_levels(self.variant, 1)), Platform(self.os, "386"))
            case "arm":
                return self._variants(_levels(self.variant, _LEAST_ARM))
            case "arm64":
                return (*self._variants(_arm64_versions(self.variant)), *Platform(self.os, "arm", "v8").candidates())
        return (self,)

    def _variants(self, older: Iterable[str]) -> "tuple[Platform, ...]":
        return (self, *(Platform(self.os, self.architecture, _usual(self.architecture, name)) for name in older))

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def _usual(architecture: str, variant: str) -> str:
    """The one of several spellings that stands in images: none for what every machine of an architecture has."""
    match architecture, variant:
        case ("386", _) | ("amd64", "v1") | ("arm64", "8" | "v8" | "v8.0"):
            return ""
        case "arm64", "9" | "9.0" | "v9.0":
            return "v9"
        case "arm", "":
            return "v7"
        case "arm", "5" | "6" | "7" | "8":
            return f"v{variant}"
    return variant


def _levels(variant: str, least: int) -> list[str]:
    """``v6``, ``v5`` below ``v7``."""
    number = variant.removeprefix("v")
    return [f"v{level}" for level in range(int(number) - 1, least - 1, -1)] if number.isdecimal() else []


def _arm64_versions(variant: str) -> list[str]:
    """The versions below one. Those of 9 have all of 8 up to the fifth after their own: v9.1 is v8.6 and more."""
    major, _, minor = (variant or "v8").removeprefix("v").partition(".")
    if major not in ("8", "9") or not (minor or "0").isdecimal():
        return []
    own = int(minor or "0")
    older = [f"v{major}.{number}" for number in range(own - 1, -1, -1)]
    if major == "9":
        older += [f"v8.{number}" for number in range(min(own + 5, _LAST_MINOR), -1, -1)]
    return older
