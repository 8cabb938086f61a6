"""How values are spelled in image documents: Go's quoting, ports, signals."""

from collections.abc import Iterable, Sequence

from fswatch_builder.errors import DockerfileError, Location

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def go_quote(text: str) -> str:
    """As Go's strconv.Quote: the history of CMD and ENTRYPOINT is written with it."""
    return '"' + "".join(_quoted(character) for character in text) + '"'


def go_list(items: Sequence[str]) -> str:
    """As Go's ``%q`` of a slice: ``["a" "b"]``."""
    return "[" + " ".join(go_quote(item) for item in items) + "]"


def _quoted(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def ports(texts: Iterable[str], where: Location) -> list[str]:
    """EXPOSE: ``80``, ``80/UDP``, ``8000-8002`` become ``80/tcp``, ``80/udp`` and one a port; sorted, each once."""
    found: set[str] = set()
    for text in texts:
        numbers, _, protocol = text.partition("/")
        protocol = protocol.lower() or "tcp"
        if protocol not in ("tcp", "udp", "sctp"):
            raise DockerfileError(f"invalid protocol in EXPOSE {text}: {protocol}", where=where)
        first, dash, last = numbers.rpartition(":")[2].partition(
            "-"
        )  # an address or host port before it means nothing here
        low, high = _port(first, text, where), _port(last if dash else first, text, where)
        if low > high:
            raise DockerfileError(f"invalid range in EXPOSE {text}", where=where)
        found |= {f"{number}/{protocol}" for number in range(low, high + 1)}
    return sorted(found)


def _port(text: str, whole: str, where: Location) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise DockerfileError(f"invalid containerPort: {whole}", where=where)
    return int(text)


def stop_signal(text: str, where: Location) -> str:
    """A number or a name, with or without SIG."""
    if text.isascii() and text.isdecimal() and 0 < int(text) <= 64:
        return text
    name = text.upper().removeprefix("SIG")
    base, _, offset = name.replace("-", "+").partition("+")
    known = f"SIG{base}" in _signal_names() and (not offset or (base in ("RTMIN", "RTMAX") and offset.isdecimal()))
    if not known:
        raise DockerfileError(f"invalid signal: {text}", where=where)
    return text


def _signal_names() -> frozenset[str]:
    from signal import Signals

    return frozenset(Signals.__members__)
