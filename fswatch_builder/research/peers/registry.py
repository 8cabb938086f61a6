"""All builders that others measure themselves against."""

from collections.abc import Mapping, Sequence

from fswatch_builder.errors import UsageError
from fswatch_builder.research.peers.buildah import Buildah
from fswatch_builder.research.peers.buildkitd import BuildKit
from fswatch_builder.research.peers.dockerd import BuildKitInDocker
from fswatch_builder.research.peers.kaniko import Kaniko
from fswatch_builder.research.peers.peer import Absent, Peer

AUTO, NONE = "auto", "none"


def peers() -> Mapping[str, Sequence[Peer]]:
    """By what ``--peers`` calls them: each a builder in all modes in which it is measured."""
    return {
        "buildah": (Buildah(),),
        "buildkit": (BuildKit(), BuildKitInDocker()),
        "kaniko": (Kaniko("full"), Kaniko("redo")),
    }


def chosen(text: str) -> tuple[Sequence[Peer], Sequence[Absent]]:
    """Of ``auto``, ``none`` or names with commas: those that can run here, and the rest.

    UsageError for a name that is none, and for one that was asked for and cannot run.
    """
    known = peers()
    names = list(known) if text == AUTO else [] if text == NONE else text.split(",")
    here: list[Peer] = []
    absent: list[Absent] = []
    for name in names:
        if name not in known:
            raise UsageError(
                f"--peers {text}: there is no builder {name!r}", hint=f"known are {AUTO}, {NONE}, {', '.join(known)}"
            )
        reasons = {peer: peer.missing() for peer in known[name]}
        usable = [peer for peer, reason in reasons.items() if reason is None]
        if not usable and text != AUTO:
            raise UsageError(f"--peers {text}: " + "; ".join(f"{peer.name}: {why}" for peer, why in reasons.items()))
        here += usable
        absent += [Absent(peer.name, why) for peer, why in reasons.items() if why is not None]
    return here, absent
