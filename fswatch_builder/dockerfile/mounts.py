"""The value of ``RUN --mount``: comma-separated fields that become one mount, or one clear error.

Which keys a type has, and what they default to, is BuildKit's. A key that means nothing for its type is refused; there
some are read and forgotten.
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from posixpath import basename, join, normpath
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from fswatch_builder.dockerfile.expansion import expand
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import Word
from fswatch_builder.model.mount import (
    BindMount,
    CacheMount,
    Mount,
    MountSource,
    SecretMount,
    Sharing,
    SshMount,
    TmpfsMount,
)
from fswatch_builder.model.plan import MainContext
from fswatch_builder.model.quantity import bytes_of

#: Other spellings of keys.
_SAME: Final = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}

_OWNED: Final = ("mode", "uid", "gid")

#: The keys of each type.
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "bind": ("target", "source", "from", "readonly", "readwrite"),
    "cache": ("target", "id", "sharing", "source", "from", "readonly", "readwrite", *_OWNED),
    "tmpfs": ("target", "size", "readonly", "readwrite"),
    "secret": ("target", "id", "source", "env", "required", "readonly", *_OWNED),
    "ssh": ("target", "id", "required", "readonly", *_OWNED),
}
_ALL: Final = ("type", *_SAME, *dict.fromkeys(key for keys in _KEYS.values() for key in keys))
_BARE: Final = ("readonly", "readwrite", "required")
_AFTER_TYPE: Final = ("required", "size")
_LARGEST_ID: Final = 2**32 - 2


class Surroundings(Struct, frozen=True):
    """What a mount's text is read in. ``sources`` maps each ``from`` of the stage to what it names."""

    variables: Mapping[str, str]
    escape: str
    working_dir: str
    sources: Mapping[str, MountSource]
    agents: int = 0  # ssh mounts of the same RUN before this one


class _Fields(Struct):
    """The fields of one mount that were read so far; ``type`` before they say it is bind."""

    where: Location
    type: str = "bind"
    values: dict[str, str] = field(default_factory=dict)

    def text(self, key: str) -> str | None:
        return self.values.get(key) or None

    def flag(self, key: str) -> bool | None:
        value = self.values.get(key)
        return None if value is None else value == "true"

    def number(self, key: str, base: int) -> int | None:
        value = self.values.get(key)
        if value is None:
            return None
        try:
            number = int(value, base) if value.isascii() and value.isalnum() else -1
        except ValueError:
            number = -1
        if not 0 <= number <= (0o7777 if key == "mode" else _LARGEST_ID):
            what = "an octal mode such as 0755" if key == "mode" else "a number"
            raise self.wrong(f"invalid value {value!r} for {key}", f"it is {what}")
        return number

    def misplaced(self, key: str) -> DockerfileError:
        order = "; type has to come before it" if key in _AFTER_TYPE else ""
        return self.wrong(
            f"unexpected key '{key}' for mount type '{self.type}'",
            f"{self.type} mounts have {', '.join(_KEYS[self.type])}{order}",
        )

    def wrong(self, what: str, hint: str | None = None) -> DockerfileError:
        return DockerfileError(f"RUN --mount: {what}", where=self.where, hint=hint)


def source_of(word: Word) -> str | None:
    """What ``from`` says in the text of a mount: the one thing that has to be known before variables are."""
    found = None
    for item in _split(word):
        key, _, value = item.partition("=")
        if key.lower() == "from":
            if "$" in value:
                raise DockerfileError(
                    f"RUN --mount: variables are not expanded in from={value}",
                    where=word.where,
                    hint=f"name a stage for it above: FROM {value} AS source, then from=source",
                )
            found = value
    return found or None


def read_mounts(words: Iterable[Word], around: Surroundings) -> tuple[Mount, ...]:
    """The mounts that the values of one RUN's flags describe, in their order. Raises DockerfileError."""
    mounts: list[Mount] = []
    for word in words:
        agents = sum(isinstance(mount, SshMount) for mount in mounts)
        mounts.append(_read_mount(word, replace(around, agents=agents)))
    return tuple(mounts)


def _read_mount(word: Word, around: Surroundings) -> Mount:
    fields = _Fields(word.where)
    for item in _split(word):
        _read_field(item, fields, around)
    for key in fields.values:
        if key not in _KEYS[fields.type]:
            raise fields.misplaced(key)
    return _MAKERS[fields.type](fields, around)


def _split(word: Word) -> Sequence[str]:
    try:
        rows = list(csv.reader([word.text], strict=True))
    except csv.Error as error:
        raise DockerfileError(f"RUN --mount: {error} in {word.text}", where=word.where) from error
    return [item for row in rows for item in row] or [""]


def _read_field(item: str, fields: _Fields, around: Surroundings) -> None:
    spelled, equals, text = item.partition("=")
    key = spelled.lower()
    key = _SAME.get(key, key)
    if key != "type" and key not in _ALL:
        raise fields.wrong(f"unexpected key '{spelled}' in '{item}'", _near(spelled, _ALL))
    if not equals and key not in _BARE:
        raise fields.wrong(f"invalid field '{item}' must be a key=value pair")
    if key == "type":
        fields.type = expand(text, around.variables, around.escape)
        if fields.type not in _KEYS:
            raise fields.wrong(f'unsupported mount type "{fields.type}"', _near(fields.type, _KEYS))
        return
    if key in _AFTER_TYPE and key not in _KEYS[fields.type]:
        raise fields.misplaced(key)
    value = "true" if not equals else text if key == "from" else expand(text, around.variables, around.escape)
    fields.values.pop(key, None)  # the last one counts, and its place: ro and rw overrule one another
    fields.values[key] = _boolean(spelled, value, fields) if key in _BARE else value


def _boolean(spelled: str, value: str, fields: _Fields) -> str:
    """As Go's strconv.ParseBool reads it."""
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return "true"
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return "false"
    raise fields.wrong(f"invalid value for {spelled}: {value}", "it is true or false")


def _near(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    near = get_close_matches(word.lower(), list(known), n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _bind(fields: _Fields, around: Surroundings) -> BindMount:
    return BindMount(
        _target(fields, around),
        _origin(fields, around) or MainContext(),
        _inner(fields),
        _writable(fields, default=False),
    )


def _cache(fields: _Fields, around: Surroundings) -> CacheMount:
    sharing = fields.text("sharing") or "shared"
    return CacheMount(
        target=_target(fields, around),
        id=fields.text("id") or normpath(fields.text("target") or "."),
        sharing=_sharing(sharing, fields),
        origin=_origin(fields, around),
        source=_inner(fields),
        mode=fields.number("mode", 8),
        uid=fields.number("uid", 10),
        gid=fields.number("gid", 10),
        writable=_writable(fields, default=True),
    )


def _tmpfs(fields: _Fields, around: Surroundings) -> TmpfsMount:
    size = fields.text("size")
    try:
        return TmpfsMount(
            _target(fields, around), (bytes_of(size) or None) if size else None, _writable(fields, default=True)
        )
    except ValueError as error:
        raise fields.wrong(f"invalid value for size: {error}") from error


def _secret(fields: _Fields, around: Surroundings) -> SecretMount:
    if fields.text("source") and fields.text("id"):
        raise fields.wrong("a secret mount has either a source or an id")
    given = fields.text("target")
    name = fields.text("source") or fields.text("id") or basename(given or "")
    if not name:
        raise fields.wrong("a secret mount needs an id or a target", "such as --mount=type=secret,id=token")
    env = fields.text("env")
    if env is not None and "=" in env:
        raise fields.wrong(f"invalid name of a variable: {env!r}")
    if given is None and env is None:
        given = f"/run/secrets/{basename(name)}"
    return SecretMount(
        id=name,
        target=None if given is None else _absolute(given, fields, around),
        env=env,
        required=fields.flag("required") or False,
        mode=_or(fields.number("mode", 8), 0o400),
        uid=_or(fields.number("uid", 10), 0),
        gid=_or(fields.number("gid", 10), 0),
    )


def _ssh(fields: _Fields, around: Surroundings) -> SshMount:
    return SshMount(
        id=fields.text("id") or "default",
        target=_absolute(fields.text("target") or f"/run/buildkit/ssh_agent.{around.agents}", fields, around),
        required=fields.flag("required") or False,
        mode=_or(fields.number("mode", 8), 0o600),
        uid=_or(fields.number("uid", 10), 0),
        gid=_or(fields.number("gid", 10), 0),
    )


_MAKERS: Final[Mapping[str, Callable[[_Fields, Surroundings], Mount]]] = {
    "bind": _bind,
    "cache": _cache,
    "tmpfs": _tmpfs,
    "secret": _secret,
    "ssh": _ssh,
}


def _target(fields: _Fields, around: Surroundings) -> str:
    return _absolute(fields.text("target") or "", fields, around)


def _absolute(path: str, fields: _Fields, around: Surroundings) -> str:
    target = _clean(join(around.working_dir, path))
    if target == "/":
        raise fields.wrong('invalid mount target "/"', "give a target below it")
    if "\0" in target:
        raise fields.wrong("a path cannot hold a NUL byte")
    return target


def _or(number: int | None, default: int) -> int:
    return default if number is None else number


def _inner(fields: _Fields) -> str:
    return _clean(fields.text("source") or "/")


def _clean(path: str) -> str:
    return normpath("/" + path.lstrip("/"))


def _origin(fields: _Fields, around: Surroundings) -> MountSource | None:
    name = fields.text("from")
    return None if name is None else around.sources[name]


def _writable(fields: _Fields, *, default: bool) -> bool:
    """Of ``ro`` and ``rw`` the one that was written last counts."""
    chosen = [key for key in fields.values if key in ("readonly", "readwrite")]
    if not chosen:
        return default
    return (fields.flag(chosen[-1]) or False) == (chosen[-1] == "readwrite")


def _sharing(text: str, fields: _Fields) -> Sharing:
    match text:
        case "shared" | "private" | "locked":
            return text
        case _:
            raise fields.wrong(f'unsupported sharing value "{text}"', _near(text, ("shared", "private", "locked")))
