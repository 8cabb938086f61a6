"""Losses become SUBTREE hints."""

from fswatch_builder._native import HintSet
from fswatch_builder.changes.widen import widen


def test_a_loss_becomes_a_subtree_and_no_hint_is_lost() -> None:
    hints = HintSet()
    hints.add(b"a", "entry")
    hints.add(b"b", "children")
    hints.lose("watch-limit", b"a")
    hints.lose("queue-overflow", b"")
    widened, losses = widen(hints)
    assert dict(widened.hints) == {b"": "subtree", b"a": "subtree", b"b": "children"}
    assert set(losses) == {("watch-limit", b"a"), ("queue-overflow", b"")}
    assert widened.losses == []
    assert len(hints.losses) == 2
