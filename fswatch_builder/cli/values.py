"""How the values of options are read. What cannot be used is a UsageError that names the option."""

import os
import re
from collections.abc import Mapping, Sequence

from fswatch_builder.build.stages import familiar_name
from fswatch_builder.errors import UsageError
from fswatch_builder.model.annotation import Annotation, Place
from fswatch_builder.model.epoch import parse_epoch
from fswatch_builder.model.hash_mode import HashMode
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.readable import readable
from fswatch_builder.oci.limits import UnpackLimits
from fswatch_builder.oci.reference import Reference
from fswatch_builder.remote.address import remote_context

_CONTEXT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_PLACE = r"[a-z-]+(?:\[[^\],]*\])?"
_ANNOTATION = re.compile(rf"(?:(?P<places>{_PLACE}(?:,{_PLACE})*):)?(?P<name>[^=\s]+)=(?P<value>.*)", re.DOTALL)
_FALSE = ("false", "0", "f")

#: Bytes of a file of build arguments. It is written by hand.
_LARGEST_ARG_FILE = 1 << 20


def after_equals(value: str) -> str:
    """The value of a short option. docker takes ``-t=NAME`` as well as ``-t NAME``; here the sign comes with it."""
    return value.removeprefix("=")


def default_store(environment: Mapping[str, str], uid: int) -> str:
    """For root the system's place, for others the XDG one."""
    if uid == 0:
        return "/var/lib/fswatch-builder"
    data = environment.get("XDG_DATA_HOME") or os.path.join(environment.get("HOME") or "/", ".local/share")
    return os.path.join(data, "fswatch-builder")


def store_directory(given: str | None) -> str:
    """The directory of the store."""
    return given or default_store(os.environ, os.geteuid())


def build_args(items: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """``K=V``, or ``K`` for the environment's value (left out where it has none). SOURCE_DATE_EPOCH comes by itself."""
    found: dict[str, str] = {}
    epoch = environment.get("SOURCE_DATE_EPOCH")
    if epoch:
        found["SOURCE_DATE_EPOCH"] = epoch
    for item in items:
        name, equals, value = item.partition("=")
        if not name:
            raise UsageError(f"--build-arg {item}: the name is missing")
        if equals:
            found[name] = value
        elif name in environment:
            found[name] = environment[name]
    return found


def lines_of(path: str) -> list[str]:
    """The arguments in a --build-arg-file: comments and empty lines are left out."""
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_ARG_FILE + 1)
        if len(content) > _LARGEST_ARG_FILE:
            raise UsageError(f"--build-arg-file {path}: larger than {_LARGEST_ARG_FILE >> 20} MiB")
        lines = content.decode().splitlines()
    except OSError as error:
        raise UsageError(f"--build-arg-file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--build-arg-file {path}: not UTF-8: {error.reason} at byte {error.start}") from error
    return [line for line in lines if line.strip() and not line.startswith("#")]


def annotations(items: Sequence[str]) -> tuple[Annotation, ...]:
    """``[PLACE[,PLACE...]:]K=V``; a place is manifest (if none is given), index, or the descriptor of one, and
    ``manifest[os/arch]`` is for one platform.
    """
    found: list[Annotation] = []
    for item in items:
        _check_text("--annotation", item)
        match = _ANNOTATION.fullmatch(item)
        if match is None:
            raise UsageError(f"--annotation {item}: want NAME=VALUE")
        for text in (match["places"] or "manifest").split(","):
            kind, bracket, only = text.partition("[")
            place = _place(item, kind)
            platform = _platform("--annotation", only.removesuffix("]")) if bracket else None
            if platform is not None and place.startswith("index"):
                raise UsageError(f"--annotation {item}: an index is for no platform of its own")
            found.append(Annotation(place, match["name"], match["value"], platform))
    return tuple(found)


def _place(item: str, text: str) -> Place:
    match text:
        case "manifest" | "index" | "manifest-descriptor" | "index-descriptor":
            return text
        case _:
            raise UsageError(f"--annotation {item}: unknown place {text}", hint="leave it out, or say manifest:")


def epoch(option: str, text: str | None) -> int | None:
    """Seconds since 1970."""
    try:
        return None if text is None else parse_epoch(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint="an integer, as `git log -1 --format=%ct` prints it") from error


def stage_names(items: Sequence[str]) -> frozenset[str]:
    """``a,b``: names of stages, whose case does not matter."""
    return frozenset(name.strip().lower() for item in items for name in item.split(",") if name.strip())


def no_attestation(option: str, value: str | None) -> None:
    """``false`` asks for what is done anyway."""
    if value is not None and value.lower() not in _FALSE:
        raise UsageError(
            f"{option}={value}: not supported yet: no attestation is made", hint=f"{option}=false is taken"
        )


def labels(items: Sequence[str]) -> dict[str, str]:
    """``K=V``, both text: they go into a document."""
    for item in items:
        _check_text("--label", item)
    return pairs("--label", items)


def _check_text(option: str, item: str) -> None:
    if readable(item) != item:
        raise UsageError(f"{option} {item}: not UTF-8, so it cannot be in a document")


def pairs(option: str, items: Sequence[str]) -> dict[str, str]:
    """``K=V``; the value may be empty, the name not."""
    found: dict[str, str] = {}
    for item in items:
        name, _, value = item.partition("=")
        if not name:
            raise UsageError(f"{option} {item}: want NAME=VALUE")
        found[name] = value
    return found


def build_contexts(items: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE``; the value is an address, or a directory or file that must be there."""
    found = pairs("--build-context", items)
    for name, value in found.items():
        if not value or not _CONTEXT_NAME.fullmatch(name):
            raise UsageError(f"--build-context {name}={value}: want NAME=VALUE", hint="such as base=./rootfs")
        if name in ("scratch", "context"):
            raise UsageError(f"--build-context {name}: this name has a meaning of its own")
        _check_context(f"--build-context {name}={value}", value)
    return {_short(name): value for name, value in found.items()}


def _short(name: str) -> str:
    """As a FROM is looked up: ``alpine:latest`` is ``alpine``."""
    image, colons, platform = name.partition("::")
    return familiar_name(image) + colons + platform


def _check_context(option: str, value: str) -> None:
    if value.startswith(("docker-image://", "oci-layout://")) or os.path.exists(value):
        return
    if value.startswith("target:"):
        raise UsageError(
            f"{option}: a target of another build means something in bake files only",
            hint="build it first, and give its image: docker-image://NAME",
        )
    try:
        remote = remote_context(value)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if remote is not None:
        return
    if "://" in value:
        scheme = value.partition("://")[0]
        raise UsageError(f"{option}: {scheme}:// is none of docker-image, oci-layout, http, https, git and ssh")
    raise UsageError(f"{option}: there is no such file or directory", hint="an image is written docker-image://NAME")


def choice(option: str, value: str, allowed: Sequence[str]) -> str:
    """One of ``allowed``."""
    if value not in allowed:
        raise UsageError(f"{option} {value}: want {', '.join(allowed[:-1])} or {allowed[-1]}")
    return value


def known_reference(text: str) -> Reference | None:
    """An image's name that somebody else wrote; None for what is no name by our rules."""
    try:
        return Reference.parse(text).without_digest()
    except ValueError:
        return None


def references(names: Sequence[str]) -> tuple[Reference, ...]:
    """Names of images."""
    found = []
    for name in names:
        try:
            found.append(Reference.parse(after_equals(name)))
        except ValueError as error:
            raise UsageError(f"--tag {name}: {error}") from error
    return tuple(found)


def tracker(name: str) -> str:
    """A tracker there is, or ``auto``. The trackers are loaded for nothing but a name given."""
    if name != "auto":
        from fswatch_builder.tracking.registry import trackers

        choice("--tracker", name, ("auto", *trackers()))
    return name


def hash_mode(value: str) -> HashMode:
    """How much of the files reconcile reads."""
    match value:
        case "evidence" | "all" | "none":
            return value
        case _:
            raise UsageError(f"--hash {value}: want evidence, all or none")


def unpack_limits(text: str) -> UnpackLimits:
    """What archives may unpack to."""
    try:
        return UnpackLimits.parse(text)
    except ValueError as error:
        raise UsageError(f"--unpack-limit: {error}", hint="such as size=500g,ratio=none") from error


def platform(text: str | None) -> Platform:
    """The platform asked for, else this machine's."""
    if text is None:
        return Platform.host()
    if "," in text:
        raise UsageError(f"--platform {text}: one platform is meant here")
    return _platform("--platform", text)


def platforms(items: Sequence[str]) -> tuple[Platform, ...]:
    """``a,b``: each once, in the order given; ``local`` is this machine's."""
    texts = [text.strip() for item in items for text in item.split(",")]
    return tuple(dict.fromkeys(Platform.host() if t == "local" else _platform("--platform", t) for t in texts))


def _platform(option: str, text: str) -> Platform:
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
