"""Text that someone else wrote, on the user's terminal.

What a RUN prints, an instruction, a label, the name of a file and a registry's complaint are all under the control of
whoever made them. On a terminal they must not do more than be read: a sequence of control characters sets the title or
the clipboard, makes lines that were never printed and hides those that were; an override of the writing direction shows
a command as another one.
"""

import json
import re
from typing import Final

#: ECMA-48 and what xterm adds: CSI (colours, the cursor), OSC and its kin (title, clipboard, links), the rest.
_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\`-~]"
)
#: Joiners: invisible, but words and emoji are written with them.
_HARMLESS: Final = frozenset("\t\u200c\u200d")
#: Controls, formats (the writing direction among them), surrogates, separators of lines and paragraphs.
_HARMFUL: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    """One line to show: sequences are left out, what else is no character to look at is spelled out."""
    if text.isprintable():
        return text
    return "".join(_spelled(character) for character in _SEQUENCE.sub("", text))


def printable_name(name: str) -> str:
    """A name to show: nothing is left out, what steers a terminal is spelled out."""
    return name if name.isprintable() else "".join(map(_spelled, name))


def printable_output(line: str) -> str:
    """A line that a command printed: what is in sight in the end if it went back to the start of the line."""
    return printable(line.rstrip("\r").rpartition("\r")[2])


def json_text(document: object, *, indent: int | None = None) -> str:
    """A document as JSON, without ``indent`` as compact as docker's. What steers a terminal is escaped as JSON does it,
    so nothing is lost on a program.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(document, indent=indent, ensure_ascii=False, separators=separators)
    if text.isprintable():
        return text
    return "".join(character if character == "\n" else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    """A new line between the members of a document is white space: within a text it is escaped already."""
    return character if _spelled(character) == character else json.dumps(character)[1:-1]


def _spelled(character: str) -> str:
    from unicodedata import category

    if character in _HARMLESS or category(character) not in _HARMFUL:
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a path that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
