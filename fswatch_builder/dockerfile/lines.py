"""From bytes to logical lines: continuations, comments, directives, heredoc bodies. Every character keeps its place."""

from bisect import bisect_right
from collections.abc import Iterator

from msgspec import Struct

from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import Word

#: What the language calls a space: Unicode's White_Space. Python's ``isspace`` adds four separator control characters.
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

_BOM = b"\xef\xbb\xbf"
_DIRECTIVES = frozenset({"syntax", "escape", "check"})


class LogicalLine(Struct, frozen=True):
    """One instruction's text, continuations joined, with the way back to the file.

    Invariant: ``offsets``, ``lines`` and ``columns`` are equally long; the piece of ``text`` that begins at
    ``offsets[i]`` stands in the file at ``lines[i]``, ``columns[i]``. ``offsets`` begins with 0 and does not descend.
    """

    file: str
    text: str
    offsets: tuple[int, ...]
    lines: tuple[int, ...]
    columns: tuple[int, ...]
    comments: tuple[str, ...]  # the comment lines right above, without the #
    blank: Location | None  # the first empty line inside

    def at(self, offset: int) -> Location:
        """Where the character at ``offset`` stands."""
        piece = bisect_right(self.offsets, offset) - 1
        return Location(self.file, self.lines[piece], self.columns[piece] + offset - self.offsets[piece])

    def word(self, start: int, end: int) -> Word:
        """The word that these offsets bound."""
        return Word(self.text[start:end], self.at(start))


class LineReader:
    """Reads a Dockerfile from top to bottom. Iterating yields logical lines; the reader of an instruction with heredocs
    takes their bodies with :meth:`heredoc_body` before it asks for the next line.

    ``directives`` and ``escape`` are final once the first logical line has been read. Bytes that are not UTF-8 are kept
    as surrogates (PEP 383), for paths are bytes.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Raises :class:`DockerfileError` for a NUL byte: nothing that a Dockerfile names can hold one."""
        self.name = name
        self.escape = "\\"
        self.directives: dict[str, str] = {}
        self._in_directives = True
        text = content.removeprefix(_BOM).decode("utf-8", "surrogateescape")
        nul = text.find("\0")
        if nul >= 0:
            line = text.count("\n", 0, nul) + 1
            raise DockerfileError(
                "the Dockerfile holds a NUL byte", where=Location(name, line, nul - text.rfind("\n", 0, nul))
            )
        self._lines = text.removesuffix("\n").split("\n")
        self._next = 0

    @property
    def line(self) -> int:
        """The number of the line read last."""
        return self._next

    def __iter__(self) -> Iterator[LogicalLine]:
        """Yields logical lines. Raises :class:`DockerfileError` for a wrong directive."""
        comments: list[str] = []
        while self._next < len(self._lines):
            raw = self._take()
            text = raw.lstrip(SPACES)
            self._directive(text)
            if not text:
                comments.clear()
            elif text.startswith("#"):
                comments.append(text[1:].strip(SPACES))
            else:
                yield self._logical(text, len(raw) - len(text) + 1, tuple(comments))
                comments.clear()

    def heredoc_body(self, terminator: str, chomp: bool, opened: Location) -> str:
        """The lines up to ``terminator``, line ends as they are. ``chomp`` drops leading tabs, the terminator's too."""
        body: list[str] = []
        while self._next < len(self._lines):
            line = self._lines[self._next]
            self._next += 1
            if chomp:
                line = line.lstrip("\t")
            if line.rstrip("\r") == terminator:
                return "".join(body)
            body.append(line + "\n")
        raise DockerfileError(
            f"unterminated heredoc: no line consists of {terminator}",
            where=Location(opened.file, opened.line, opened.column, max(opened.line, self.line)),
        )

    def _take(self) -> str:
        self._next += 1
        return self._lines[self._next - 1].rstrip("\r")

    def _logical(self, text: str, column: int, comments: tuple[str, ...]) -> LogicalLine:
        parts: list[str] = []
        offsets: list[int] = []
        lines: list[int] = []
        columns: list[int] = []
        length = 0
        blank: Location | None = None
        while True:
            part, goes_on = self._continuation(text)
            offsets.append(length)
            lines.append(self.line)
            columns.append(column)
            parts.append(part)
            length += len(part)
            if not goes_on:
                break
            # Comment lines vanish and empty ones do not end the instruction, so neither takes part in the join.
            while self._next < len(self._lines):
                text = self._take()
                stripped = text.lstrip(SPACES)
                if stripped and not stripped.startswith("#"):
                    break
                if not stripped and blank is None:
                    blank = Location(self.name, self.line)
            else:
                break
            column = 1
        return LogicalLine(self.name, "".join(parts), tuple(offsets), tuple(lines), tuple(columns), comments, blank)

    def _continuation(self, text: str) -> tuple[str, bool]:
        """The text without an escape at its end, and whether there was one. A doubled escape is text."""
        trimmed = text.rstrip(" \t")
        if trimmed.endswith(self.escape) and trimmed[-2:-1] != self.escape:
            return trimmed[:-1], True
        return text, False

    def _directive(self, text: str) -> None:
        """Parser directives: the first lines only; the first line that is none, or whose key is unknown, ends them."""
        if not self._in_directives:
            return
        key, _, value = text.removeprefix("#").partition("=")
        key = key.strip(SPACES).lower()
        if not (text.startswith("#") and value and key in _DIRECTIVES):
            self._in_directives = False
            return
        value = value.strip(SPACES)
        where = Location(self.name, self.line)
        if key in self.directives:
            raise DockerfileError(f"only one {key} parser directive can be used", where=where)
        if key == "escape":
            if value not in ("\\", "`"):
                raise DockerfileError(f"invalid escape token {value!r}: it is \\ or `", where=where)
            self.escape = value
        self.directives[key] = value
