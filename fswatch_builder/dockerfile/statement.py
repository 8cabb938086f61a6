"""One logical line taken apart, before its keyword gives the arguments a meaning."""

from msgspec import Struct

from fswatch_builder.dockerfile.flags import Flags
from fswatch_builder.dockerfile.lines import SPACES, LogicalLine
from fswatch_builder.dockerfile.words import json_words, plain_words, quoted_spans
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import Heredoc, Word


class Statement(Struct, frozen=True):
    """A logical line taken apart: keyword, flags, and the arguments as the offsets ``begin`` to ``end`` of ``line``."""

    spelled: str  # the keyword as written
    line: LogicalLine
    where: Location
    flags: Flags
    begin: int
    end: int
    escape: str
    heredocs: tuple[Heredoc, ...] = ()

    @property
    def keyword(self) -> str:
        """In capitals."""
        return self.spelled.upper()

    @property
    def source(self) -> str:
        """The whole line without blanks around it."""
        return self.line.text.strip(SPACES)

    @property
    def rest(self) -> str:
        """The arguments as one text."""
        return self.line.text[self.begin : self.end]

    def plain(self) -> list[Word]:
        """The arguments between blanks."""
        return plain_words(self.line, self.begin, self.end)

    def quoted(self) -> list[tuple[int, int]]:
        """The arguments between blanks outside quotes, as offsets."""
        return quoted_spans(self.line.text, self.begin, self.end, self.escape)

    def json(self) -> list[Word] | None:
        """The strings of the JSON form, None for the other form."""
        return json_words(self.line, self.begin, self.end)

    def wrong(self, what: str, word: Word | None = None) -> DockerfileError:
        """An error at ``word``, or at the whole instruction."""
        return DockerfileError(what, where=word.where if word else self.where)
