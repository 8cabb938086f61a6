"""The patterns of ``${name#pattern}``, ``${name%pattern}`` and ``${name/pattern/text}``: ``*`` and ``?`` only.

They are matched by keeping the set of places in the pattern that the text read so far can have reached, so the time is
the product of both lengths: a hostile pattern cannot make it explode, as it can with a backtracking engine.
"""

from collections.abc import Iterator
from typing import Self

from msgspec import Struct

_STAR = "*"
_ANY = "?"


class Glob(Struct, frozen=True):
    """A pattern as (character, is it a wildcard). A wildcard never matches a line end."""

    tokens: tuple[tuple[str, bool], ...]

    @classmethod
    def parse(cls, pattern: str) -> Self:
        r"""A backslash makes ``} / * ?`` and itself plain characters. Raises ValueError before any other."""
        tokens: list[tuple[str, bool]] = []
        at = 0
        while at < len(pattern):
            char = pattern[at]
            if char == "\\":
                at += 1
                char = pattern[at : at + 1]
                if not char or char not in "}/*?\\":
                    raise ValueError(f"invalid escape '\\{char}'")
                tokens.append((char, False))
            else:
                tokens.append((char, char in (_STAR, _ANY)))
            at += 1
        return cls(tuple(tokens))

    def without_prefix(self, text: str, longest: bool) -> str:
        """The text without its shortest or longest beginning that matches."""
        best: int | None = None
        states = self._closure({0})
        for at in range(len(text) + 1):
            if len(self.tokens) in states:
                best = at
                if not longest:
                    break
            if at == len(text) or not states:
                break
            states = self._closure(self._step(states, text[at]))
        return text if best is None else text[best:]

    def without_suffix(self, text: str, longest: bool) -> str:
        """The text without its shortest or longest end that matches."""
        return type(self)(self.tokens[::-1]).without_prefix(text[::-1], longest)[::-1]

    def matches(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it matches, from left to right without overlap: the leftmost, and of those the longest.

        An empty match right behind another match does not count.
        """
        at = 0
        last_end: int | None = None
        while at <= len(text) and (found := self._search(text, at)):
            start, end = found
            if not start == end == last_end:
                yield start, end
            last_end = end
            at = end + 1 if start == end else end

    def _search(self, text: str, begin: int) -> tuple[int, int] | None:
        """The leftmost longest match from ``begin`` on. Each state carries the earliest start that leads to it."""
        final = len(self.tokens)
        starts: dict[int, int] = {}
        best: tuple[int, int] | None = None
        for at in range(begin, len(text) + 1):
            if best is None:
                for state in self._closure({0}):
                    starts.setdefault(state, at)
            if final in starts and (best is None or starts[final] <= best[0]):
                best = (starts[final], at)
            if best is not None:
                starts = {state: start for state, start in starts.items() if start <= best[0]}
            if at == len(text) or (best is not None and not starts):
                break
            moved: dict[int, int] = {}
            for state, start in starts.items():
                for reached in self._closure(self._step({state}, text[at])):
                    moved[reached] = min(start, moved.get(reached, start))
            starts = moved
        return best

    def _step(self, states: set[int], char: str) -> set[int]:
        reached: set[int] = set()
        for state in states:
            if state == len(self.tokens):
                continue
            token, wild = self.tokens[state]
            if not wild:
                if token == char:
                    reached.add(state + 1)
            elif char != "\n":
                reached.add(state if token == _STAR else state + 1)
        return reached

    def _closure(self, states: set[int]) -> set[int]:
        """With the states behind a star that matches nothing."""
        out = set(states)
        for state in states:
            while state < len(self.tokens) and self.tokens[state] == (_STAR, True):
                state += 1
                out.add(state)
        return out
