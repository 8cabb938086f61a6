"""How values are spelled in image documents: Go's quoting, ports, signals."""

from collections.abc import Sequence

from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.image import Healthcheck
from fswatch_builder.model.readable import readable

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


def refuse_bytes(text: str, where: Location) -> None:
    """Raises DockerfileError for what a configuration, which is JSON, cannot hold as it is."""
    if readable(text) != text:
        raise DockerfileError(
            f"not UTF-8, so it cannot be in an image's configuration: {text}",
            where=where,
            hint="the bytes come with a variable: only RUN, COPY and ADD take them",
        )


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


def ports(text: str, where: Location) -> list[str]:
    """A word of EXPOSE: ``80`` is ``80/tcp``, ``53/UDP`` is ``53/udp``, ``8000-8002`` are three.

    An address and a port of the host before it are checked, and mean nothing here.
    """
    parts = text.split(":")
    host = parts[-2] if len(parts) > 1 else ""
    _check_address(":".join(parts[:-2]), text, where)
    numbers, _, protocol = parts[-1].partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise DockerfileError(
            f'invalid port: "{text}": invalid proto: {protocol}', where=where, hint="it is tcp, udp or sctp"
        )
    inside = _port_range(numbers, f'invalid port: "{text}": invalid containerPort: {numbers}', where)
    if host:
        outside = _port_range(host, f'invalid port: "{text}": invalid hostPort: {host}', where)
        if len(inside) > 1 and len(inside) != len(outside):
            raise DockerfileError(
                f"invalid ranges specified for container and host Ports: {numbers} and {host}", where=where
            )
    return [f"{number}/{protocol}" for number in inside]


def _check_address(address: str, text: str, where: Location) -> None:
    from ipaddress import ip_address

    if not address:
        return
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        ip_address(bare)
    except ValueError:
        raise DockerfileError(f'invalid port: "{text}": invalid IP address: {address}', where=where) from None


def _port_range(text: str, what: str, where: Location) -> range:
    first, dash, last = text.partition("-")
    low, high = _port(first), _port(last if dash else first)
    if low is None or high is None or low > high:
        raise DockerfileError(what, where=where, hint="a port is a number from 0 to 65535, a range two with a dash")
    return range(low, high + 1)


def _port(text: str) -> int | None:
    # Python refuses to convert thousands of digits.
    known = text.isascii() and text.isdecimal() and len(text.lstrip("0")) <= 5 and int(text) <= 65535
    return int(text) if known else None


def go_health(check: Healthcheck) -> str:
    """As Go's ``%q`` of a pointer to the struct: the history of HEALTHCHECK is written with it."""
    durations = (check.interval_ns, check.timeout_ns, check.start_period_ns, check.start_interval_ns)
    spelled = " ".join(go_quote(go_duration(duration)) for duration in durations)
    return f"&{{{go_list(check.test)} {spelled} {_go_character(check.retries)}}}"


def go_duration(duration_ns: int) -> str:
    """As Go's time.Duration prints itself: ``1h0m0s``, ``1.5s``, ``250ms``, ``0s``."""
    if duration_ns < 0:
        return "-" + go_duration(-duration_ns)
    if duration_ns < 1_000_000_000:
        for unit, scale in (("ms", 1_000_000), ("\u00b5s", 1_000), ("ns", 1)):
            if duration_ns >= scale:
                return _decimal(duration_ns, scale) + unit
        return "0s"
    minutes, rest = divmod(duration_ns, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    before = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{before}{_decimal(rest, 1_000_000_000)}s"


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    digits = str(rest).rjust(len(str(scale)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def _go_character(number: int) -> str:
    """As Go's ``%q`` of an integer: the character with that number."""
    if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return "'\ufffd'"
    character = chr(number)
    if character == '"':
        return "'\"'"
    return "'\\''" if character == "'" else f"'{_quoted(character)}'"


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
