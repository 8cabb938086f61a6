"""Variables, quotes and escapes in a Dockerfile's words.

The language's own small shell: ``$name``, ``${name}`` and ``${name<modifier>word}``, single and double quotes, one
escape character. No command substitution, no arithmetic, no globbing.
"""

import re
from collections.abc import Mapping

from msgspec import Struct, field

from fswatch_builder.dockerfile.globs import Glob
from fswatch_builder.dockerfile.lines import SPACES
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.instruction import Word

_BLANK = re.compile(f"[{SPACES}]")
_REDIRECTION = re.compile(r"<<-?[\t\r ]*|<")

#: Parameters that a shell sets and a build never does: names of one character.
_SPECIAL = "@*#?-$!0"

#: Words nest (``${a:-${b:-c}}``). Deeper than this is refused, so hostile input cannot exhaust the interpreter's stack.
MAX_DEPTH = 50

#: Characters. ``ENV a=$a$a`` on 40 lines would fill any memory; no sane value comes near this.
MAX_LENGTH = 16 << 20


class Expansion(Struct, frozen=True):
    """``text`` with variables replaced; ``words``, for EXPOSE, is it split at blanks that no quote protects.

    ``undefined`` names the variables that had no value where nothing was said about that case, in order of appearance.
    """

    text: str
    words: tuple[str, ...]
    undefined: tuple[str, ...]


class Rules(Struct, frozen=True):
    """What is kept instead of being resolved. The defaults are those of an argument."""

    escape: str = "\\"
    quotes: bool = True  # False: quotes are ordinary characters
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False  # ``$name`` stays as it is if there is no such variable
    heredocs: bool = False  # blanks after ``<<`` and ``<<-`` do not end the word


def expand(text: str, environment: Mapping[str, str], escape: str = "\\") -> str:
    """One argument. Raises :class:`DockerfileError` without a place: the caller knows the word's."""
    return expansion(text, environment, Rules(escape)).text


def expand_word(word: Word, environment: Mapping[str, str], escape: str = "\\") -> Expansion:
    """A word of a Dockerfile. Raises :class:`DockerfileError` that knows its place."""
    try:
        return expansion(word.text, environment, Rules(escape))
    except DockerfileError as error:
        raise error.at(word.where) from error


def expand_body(body: str, environment: Mapping[str, str]) -> str:
    r"""The body of a COPY or ADD heredoc: quotes are text, and ``\`` escapes, whatever the escape directive says."""
    return expansion(body, environment, Rules(quotes=False)).text


def expansion(text: str, environment: Mapping[str, str], rules: Rules) -> Expansion:
    """All there is to know about expanding ``text``. Raises :class:`DockerfileError` without a place."""
    reader = _Reader(text, environment, rules)
    try:
        pieces = reader.until("", rules.keep_escapes)
    except _SyntaxError as error:
        shown = text if len(text) <= 200 else text[:200] + "..."
        raise DockerfileError(f'failed to process "{shown}": {error}') from None
    return Expansion(pieces.text(), pieces.words(), tuple(reader.undefined))


class _SyntaxError(Exception):
    """The text is wrong; the message is for the user."""


class _Pieces(Struct):
    """Text under construction; a piece that is ``fixed`` was quoted or escaped, so its blanks do not split words."""

    pieces: list[tuple[str, bool]] = field(default_factory=list)

    def add(self, text: str, fixed: bool) -> None:
        self.pieces.append((text, fixed))

    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)

    def words(self) -> tuple[str, ...]:
        words: list[str] = []
        word: list[str] = []
        for text, fixed in self.pieces:
            if fixed:
                word.append(text)
                continue
            first, *others = _BLANK.split(text)
            word.append(first)
            for other in others:
                words.append("".join(word))
                word = [other]
        words.append("".join(word))
        return tuple(filter(None, words))


class _Reader:
    """Walks over the text once, left to right."""

    def __init__(self, text: str, environment: Mapping[str, str], rules: Rules) -> None:
        self.text = text
        self.at = 0
        self.environment = environment
        self.rules = rules
        self.undefined: dict[str, None] = {}
        self.depth = 0
        self.length = 0

    def peek(self) -> str:
        """The next character, or an empty string at the end."""
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def until(self, stop: str, keep_escapes: bool) -> _Pieces:
        """What stands before ``stop`` (not quoted, not escaped), expanded; ``stop`` is consumed. Empty: to the end."""
        out = _Pieces()
        special = "$" + self.rules.escape + stop
        special += ("'\"" if self.rules.quotes else "") + ("<" if self.rules.heredocs else "")
        while char := self.peek():
            if char == stop:
                self.at += 1
                return out
            if char == "$":
                out.add(self._grown(self.dollar()), fixed=False)
            elif char == "'" and self.rules.quotes:
                out.add(self.single_quoted(), fixed=True)
            elif char == '"' and self.rules.quotes:
                out.add(self.double_quoted(keep_escapes), fixed=True)
            elif char == "<" and self.rules.heredocs:
                out.add(self.redirection(), fixed=True)
            elif char == self.rules.escape:
                self.at += 1
                escaped = self.take()
                out.add(char + escaped if keep_escapes else escaped, fixed=True)
            else:
                begin = self.at
                while self.at < len(self.text) and self.text[self.at] not in special:
                    self.at += 1
                out.add(self.text[begin : self.at], fixed=False)
        if stop:
            raise _SyntaxError(f"syntax error: missing '{stop}' in ${{}}")
        return out

    def redirection(self) -> str:
        match = _REDIRECTION.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return match.group()

    def single_quoted(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise _SyntaxError("unexpected end of statement while looking for matching single-quote")
        begin, self.at = self.at, end + 1
        return self.text[begin : end + 1] if self.rules.keep_quotes else self.text[begin + 1 : end]

    def double_quoted(self, keep_escapes: bool) -> str:
        """An escape works only before a double quote, a dollar and itself; elsewhere it is text."""
        self.at += 1
        out: list[str] = []
        while char := self.peek():
            if char == '"':
                self.at += 1
                quote = '"' if self.rules.keep_quotes else ""
                return quote + "".join(out) + quote
            if char == "$":
                out.append(self._grown(self.dollar()))
                continue
            self.at += 1
            if char == self.rules.escape and self.peek() in ('"', "$", self.rules.escape):
                if keep_escapes:
                    out.append(char)
                char = self.take()
            out.append(char)
        raise _SyntaxError("unexpected end of statement while looking for matching double-quote")

    def dollar(self) -> str:
        self.at += 1
        if self.peek() != "{":
            name = self.name()
            if not name:
                return "$"
            value = self.environment.get(name)
            if value is None:
                self.undefined[name] = None
                return "$" + name if self.rules.keep_unset else ""
            return value
        self.at += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _SyntaxError(f"more than {MAX_DEPTH} substitutions within each other")
        value = self.braces()
        self.depth -= 1
        return value

    def name(self) -> str:
        """A name, a run of digits, or one special parameter. May be empty."""
        begin = self.at
        first = self.peek()
        if first.isdecimal():
            while self.peek().isdecimal():
                self.at += 1
        elif first and first in _SPECIAL:
            self.at += 1
        else:
            while self.peek() == "_" or self.peek().isalpha() or self.peek().isdecimal():
                self.at += 1
        return self.text[begin : self.at]

    def braces(self) -> str:
        """After ``${``: up to and with the closing brace."""
        if not self.peek():
            raise _SyntaxError("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise _SyntaxError("syntax error: bad substitution")
        name = self.name()
        value = self.environment.get(name)
        operator = self.take()
        if operator == "}":
            if value is None:
                self.undefined[name] = None
                return f"${{{name}}}" if self.rules.keep_unset else ""
            return value
        if operator == "/":
            return self.replaced(name, value)
        colon = operator == ":"
        if colon:
            operator = self.take()
        if not operator:
            raise _SyntaxError("syntax error: missing '}'")
        if operator not in "-+?#%" or (colon and operator in "#%"):
            shown = ":" + operator if colon else operator
            raise _SyntaxError(f"unsupported modifier ({shown}) in substitution")
        word = self._grown(self.until("}", keep_escapes=operator in "#%").text())
        if value is None and self.rules.keep_unset:
            return f"${{{name}{':' if colon else ''}{operator}{word}}}"
        if operator in "#%":
            return self.trimmed(name, value, operator, word)
        absent = value is None or (colon and not value)
        if operator == "+":
            return "" if absent else word
        if not absent:
            return value or ""
        if operator == "-":
            return word
        raise _SyntaxError(f"{name}: {word or 'is not allowed to be ' + ('unset' if value is None else 'empty')}")

    def trimmed(self, name: str, value: str | None, operator: str, word: str) -> str:
        if value is None:
            self.undefined[name] = None
            value = ""
        longest = word.startswith(operator)
        glob = self._glob(word[1:] if longest else word)
        return glob.without_prefix(value, longest) if operator == "#" else glob.without_suffix(value, longest)

    def replaced(self, name: str, value: str | None) -> str:
        everywhere = self.peek() == "/"
        if everywhere:
            self.at += 1
        pattern = self.until("/", keep_escapes=True).text()
        replacement = self.until("}", keep_escapes=True).text()
        if value is None:
            if self.rules.keep_unset:
                return f"${{{name}{'//' if everywhere else '/'}{pattern}/{replacement}}}"
            self.undefined[name] = None
            value = ""
        out: list[str] = []
        rest = 0
        for start, end in self._glob(pattern).matches(value):
            out += [self._grown(value[rest:start]), self._grown(replacement)]
            rest = end
            if not everywhere:
                break
        return "".join([*out, value[rest:]])

    def _glob(self, pattern: str) -> Glob:
        try:
            return Glob.parse(pattern)
        except ValueError as error:
            raise _SyntaxError(f"invalid pattern ({pattern}) in substitution: {error}") from None

    def _grown(self, text: str) -> str:
        self.length += len(text)
        if self.length > MAX_LENGTH:
            raise _SyntaxError(f"it grows beyond {MAX_LENGTH >> 20} million characters when its variables are replaced")
        return text
