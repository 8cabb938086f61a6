"""Losses become hints, here and nowhere else."""

from fswatch_builder._native import HintSet


def widen(hints: HintSet) -> tuple[HintSet, tuple[tuple[str, bytes], ...]]:
    """``hints`` with every loss as a SUBTREE hint and no losses left; and the losses, for the report.

    A loss names the smallest subtree that the tracker no longer vouches for, so looking at all of it makes the evidence
    whole again, whatever the reason was. ``hints`` itself is left alone.
    """
    widened = HintSet()
    for path, scope in hints.hints:
        widened.add(path, scope)
    losses = tuple(hints.losses)
    for _, path in losses:
        widened.add(path, "subtree")
    return widened, losses
