"""Who builds a Dockerfile, and which one it is."""

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fswatch_builder.research.builds.bases import Script
from fswatch_builder.research.builds.rows import Contestant
from fswatch_builder.research.builds.summary import CHOOSING, PEER, SCANNING, WATCHING
from fswatch_builder.research.machine import own_version
from fswatch_builder.research.peers.peer import Peer
from fswatch_builder.research.strategies import Strategy, strategies
from fswatch_builder.tracking.selection import AUTO as CHOOSES

AUTO = Strategy(CHOOSES, CHOOSES, "evidence", None, "chooses one of the trackers, as `build` does unless it is told")


def ways() -> Mapping[str, Strategy]:
    """How a Dockerfile can be built: all that promise to miss nothing, and to leave the choice to the builder."""
    return MappingProxyType({**{name: it for name, it in strategies().items() if it.is_exact}, AUTO.name: AUTO})


def contestants(ours: Iterable[Strategy], theirs: Iterable[Peer]) -> tuple[Contestant, ...]:
    """This builder with each strategy, then the others."""
    version = own_version()
    return (
        *(Contestant(it.name, _kind(it), version, it.means) for it in ours),
        *(Contestant(it.name, PEER, it.version(), "") for it in theirs),
    )


def _kind(strategy: Strategy) -> str:
    if strategy == AUTO:
        return CHOOSING
    return WATCHING if strategy.watches else SCANNING


def digest(script: Script) -> str:
    """``sha256:...`` of the Dockerfile's text."""
    return f"sha256:{hashlib.sha256(script.text).hexdigest()}"
