"""What it means for a tracker that hard links were made."""

from fswatch_builder._native import HintSet
from fswatch_builder.tracking.protocol import Session


def lose_to_links(hints: HintSet, session: Session, links_made: int | None) -> None:
    """Adds what ``session`` cannot vouch for after a command that made no more than ``links_made`` hard links.

    A file that is changed through a link which is gone again can be anywhere, so everything is lost. None: nobody knows
    how many were made.
    """
    if session.needs_link_witness and links_made != 0:
        hints.lose("links-unseen" if links_made is None else "links-made", b"")
