"""What the command line says about the sandbox of every RUN."""

from typing import Final, Literal

from msgspec import Struct

Network = Literal["default", "none", "host"]
Security = Literal["sandbox", "insecure"]

NETWORK_HOST: Final = "network.host"
SECURITY_INSECURE: Final = "security.insecure"
ENTITLEMENTS: Final = (NETWORK_HOST, SECURITY_INSECURE)
"""What ``--allow`` can give."""


class Ulimit(Struct, frozen=True):
    """``--ulimit``: a limit of setrlimit(2) by its name, without ``RLIMIT_``; None: no limit."""

    name: str
    soft: int | None
    hard: int | None


class SandboxOptions(Struct, frozen=True):
    """All of it, with Docker's defaults."""

    network: Network = "default"
    hosts: tuple[tuple[str, str], ...] = ()  # name, address: lines of /etc/hosts
    shm_size: int | None = None  # bytes of /dev/shm
    ulimits: tuple[Ulimit, ...] = ()
    allowed: frozenset[str] = frozenset()
