"""Who builds a Dockerfile, and which one it is."""

import hashlib
from collections.abc import Iterable

from fswatch_builder.research.builds.bases import Script
from fswatch_builder.research.builds.rows import Contestant
from fswatch_builder.research.builds.summary import PEER, SCANNING, WATCHING
from fswatch_builder.research.machine import own_version
from fswatch_builder.research.peers.peer import Peer
from fswatch_builder.research.strategies import Strategy


def contestants(ours: Iterable[Strategy], theirs: Iterable[Peer]) -> tuple[Contestant, ...]:
    """This builder with each strategy, then the others."""
    version = own_version()
    return (
        *(Contestant(it.name, WATCHING if it.watches else SCANNING, version, it.means) for it in ours),
        *(Contestant(it.name, PEER, it.version(), "") for it in theirs),
    )


def digest(script: Script) -> str:
    """``sha256:...`` of the Dockerfile's text."""
    return f"sha256:{hashlib.sha256(script.text).hexdigest()}"
