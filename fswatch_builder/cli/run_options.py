"""The options about what a RUN is lent and kept to: ``--secret``, ``--ssh``, ``--allow``, ``--add-host`` and others."""

import csv
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import typer

from fswatch_builder.cli import quantities
from fswatch_builder.cli.values import choice
from fswatch_builder.errors import UsageError
from fswatch_builder.model.remote import GitTree
from fswatch_builder.model.sandbox import ENTITLEMENTS, Network, SandboxOptions, Ulimit
from fswatch_builder.remote.address import remote_context

LARGEST_SECRET: Final = 500 << 10
"""Bytes, as in buildx."""


def _option(flag: str, metavar: str, text: str) -> object:
    name = f"FSWATCH_BUILDER_{flag[2:].upper().replace('-', '_')}"
    return typer.Option(flag, metavar=metavar, envvar=name, help=text)


Secrets = Annotated[
    list[str] | None,
    _option(
        "--secret",
        "SPEC",
        "id=NAME,src=FILE or id=NAME,env=VARIABLE: what RUN --mount=type=secret,id=NAME sees; as GIT_AUTH_TOKEN.HOST "
        "or HTTP_AUTH_TOKEN_HOST what the builder itself fetches with. Repeatable.",
    ),
]
Ssh = Annotated[
    list[str] | None,
    _option(
        "--ssh",
        "ID[=SOCKET]",
        "An SSH agent for RUN --mount=type=ssh, and as default for git@ addresses; default is $SSH_AUTH_SOCK. Keys can "
        "be used, not read. Repeatable.",
    ),
]
Allow = Annotated[
    list[str] | None,
    _option("--allow", "ENTITLEMENT", "network.host or security.insecure: what a RUN may ask for. Repeatable."),
]
NetworkName = Annotated[
    str, _option("--network", "MODE", "Of RUNs that do not say it: default (this machine's), none or host.")
]
AddHost = Annotated[
    list[str] | None, _option("--add-host", "NAME:ADDRESS", "A line of /etc/hosts in RUNs. Repeatable.")
]
ShmSize = Annotated[str | None, _option("--shm-size", "BYTES", "Size of /dev/shm in RUNs, as 128m. [default: 64m]")]
Ulimits = Annotated[
    list[str] | None,
    _option("--ulimit", "NAME=SOFT[:HARD]", "A limit of processes in RUNs, as nofile=1024:4096. Repeatable."),
]


def secrets(items: Sequence[str], environment: Mapping[bytes, bytes]) -> dict[str, bytes]:
    """By ID. Each is read now, once: a file may be a pipe. No message holds a value."""
    found: dict[str, bytes] = {}
    for item in items:
        fields = _fields("--secret", item, ("id", "src", "source", "env", "type"))
        name = fields.get("id", "")
        path, variable = fields.get("src") or fields.get("source"), fields.get("env")
        kind = fields.get("type", "")
        if not name:
            raise UsageError(f"--secret {item}: the id is missing", hint="such as id=token,src=token.txt")
        if kind not in ("", "file", "env"):
            raise UsageError(f"--secret {item}: unsupported type {kind}", hint="it is file or env")
        if path and variable:
            raise UsageError(f"--secret {item}: want either src or env")
        if kind == "env" and path:
            path, variable = None, path
        if not path and not variable:
            is_variable = kind == "env" or (kind == "" and os.fsencode(name) in environment)
            path, variable = (None, name) if is_variable else (name, None)
        found[name] = _variable(name, variable, environment) if variable else _file(name, path or name)
    return found


def _variable(name: str, variable: str, environment: Mapping[bytes, bytes]) -> bytes:
    value = environment.get(os.fsencode(variable))
    if value is None:
        raise UsageError(f"--secret id={name}: there is no variable {variable} in the environment")
    return _measured(name, value)


def _file(name: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return _measured(name, file.read(LARGEST_SECRET + 1))
    except OSError as error:
        raise UsageError(f"--secret id={name}: cannot read {path}: {error.strerror}") from error


def _measured(name: str, value: bytes) -> bytes:
    if len(value) > LARGEST_SECRET:
        raise UsageError(f"--secret id={name}: larger than {LARGEST_SECRET >> 10} KiB")
    return value


def agents(items: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The paths of agents' sockets, by ID."""
    found: dict[str, str] = {}
    for item in items:
        name, _, path = item.partition("=")
        if not name:
            raise UsageError(f"--ssh {item}: the id is missing", hint="such as --ssh default")
        path = path or environment.get("SSH_AUTH_SOCK", "")
        if not path:
            raise UsageError(
                f"--ssh {item}: no agent: SSH_AUTH_SOCK is not set", hint="start one with `eval $(ssh-agent)`"
            )
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            raise UsageError(f"--ssh {item}: cannot use {path}: {error.strerror}") from error
        if not stat.S_ISSOCK(mode):
            raise UsageError(
                f"--ssh {item}: {path} is not the socket of an agent; files of keys are not read here",
                hint=f"give the key to an agent and lend that: `ssh-add {path}`, then --ssh {name}",
            )
        found[name] = os.path.abspath(path)
    return found


def agents_of(context: str, environment: Mapping[str, str]) -> Sequence[str]:
    """What ``--ssh`` is if nobody says: a context that is fetched by ssh needs the agent that there is."""
    try:
        remote = remote_context(context)
    except ValueError:
        return ()  # told when the context is opened
    by_ssh = isinstance(remote, GitTree) and not remote.remote.startswith(("http://", "https://", "git://"))
    return ("default",) if by_ssh and environment.get("SSH_AUTH_SOCK") else ()


def sandbox(
    *,
    network: str,
    allow: Sequence[str],
    add_host: Sequence[str],
    shm_size: str | None,
    ulimit: Sequence[str],
) -> SandboxOptions:
    """What the command line says about all RUNs."""
    return SandboxOptions(
        network=_network(network),
        hosts=tuple(_host(item) for item in add_host),
        # 0 is the default, as for Docker.
        shm_size=(quantities.size("--shm-size", shm_size) or None) if shm_size is not None else None,
        ulimits=tuple({limit.name: limit for limit in map(_ulimit, ulimit)}.values()),
        allowed=frozenset(choice("--allow", name, ENTITLEMENTS) for item in allow for name in item.split(",")),
    )


def _network(text: str) -> Network:
    match text:
        case "default" | "none" | "host":
            return text
        case _:
            raise UsageError(f"--network {text}: want default, none or host")


def _host(item: str) -> tuple[str, str]:
    """``NAME:ADDRESS`` or ``NAME=ADDRESS``, the address in brackets or not; ``host-gateway`` is this machine."""
    cut = item.find("=") if "=" in item else item.find(":")
    name, address = item[:cut].strip(), item[cut + 1 :].strip().removeprefix("[").removesuffix("]")
    if cut < 1 or not name or any(not character.isprintable() or character.isspace() for character in name):
        raise UsageError(f"--add-host {item}: want NAME:ADDRESS", hint="such as db.test:10.0.0.7")
    if address == "host-gateway":
        return name, "127.0.0.1"
    try:
        from ipaddress import ip_address

        return name, str(ip_address(address))
    except ValueError:
        raise UsageError(f"--add-host {item}: invalid address {address!r}") from None


def _ulimit(item: str) -> Ulimit:
    from fswatch_builder.runtime.ulimits import NUMBERS

    name, equals, values = item.partition("=")
    soft, colon, hard = values.partition(":")
    if not equals or name not in NUMBERS:
        raise UsageError(f"--ulimit {item}: want NAME=SOFT[:HARD]", hint=f"names are {', '.join(NUMBERS)}")
    limits = [_limit(item, text) for text in ((soft, hard) if colon else (soft, soft))]
    lowest = [2**64 if limit is None else limit for limit in limits]
    if lowest[0] > lowest[1]:
        raise UsageError(f"--ulimit {item}: the soft limit is above the hard one")
    return Ulimit(name, *limits)


def _limit(item: str, text: str) -> int | None:
    if text == "-1":
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) >= 2**63:
        raise UsageError(f"--ulimit {item}: {text!r} is no number", hint="-1 is no limit at all")
    return int(text)


def _fields(option: str, text: str, known: Sequence[str]) -> dict[str, str]:
    """Comma-separated ``key=value`` pairs, quotes around those with a comma."""
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise UsageError(f"{option} {text}: {error}") from error
    found: dict[str, str] = {}
    for item in rows[0] if rows else ():
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"{option} {text}: {item!r} is no key=value pair")
        if key.lower() not in known:
            raise UsageError(f"{option} {text}: unknown key {key!r}", hint=f"there are {', '.join(known)}")
        found[key.lower()] = value
    return found
