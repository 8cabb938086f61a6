"""The options of the command line: what they are called, what they default to, how their values are read.

Every option can be given by an environment variable, ``FSWATCH_BUILDER_`` and its name in capitals.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from fswatch_builder.errors import UsageError
from fswatch_builder.model.hash_mode import HashMode as Hashing
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.reference import Reference

_CONTEXT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")


def _env(name: str) -> str:
    return f"FSWATCH_BUILDER_{name}"


Context = Annotated[str, typer.Argument(metavar="CONTEXT", help="Directory whose files COPY and ADD may take.")]
File = Annotated[
    str | None,
    typer.Option(
        "--file", "-f", metavar="FILE", envvar=_env("FILE"), help="The Dockerfile. [default: CONTEXT/Dockerfile]"
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", "-t", metavar="NAME", envvar=_env("TAG"), help="Name of the image. Repeatable."),
]
Target = Annotated[
    str | None, typer.Option(metavar="STAGE", envvar=_env("TARGET"), help="Build this stage. [default: the last one]")
]
BuildArgs = Annotated[
    list[str] | None,
    typer.Option(
        "--build-arg",
        metavar="K=V",
        envvar=_env("BUILD_ARG"),
        help="Value of an ARG; K alone takes the environment's. Repeatable.",
    ),
]
BuildContexts = Annotated[
    list[str] | None,
    typer.Option(
        "--build-context",
        metavar="NAME=VALUE",
        envvar=_env("BUILD_CONTEXT"),
        help="What NAME means in FROM and COPY --from: a directory, an archive, oci-layout://DIR or "
        "docker-image://REF. Repeatable.",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="K=V", envvar=_env("LABEL"), help="Label of the image. Repeatable."),
]
Outputs = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="SPEC",
        envvar=_env("OUTPUT"),
        help="type=oci,dest=PATH[,tar=false] or type=docker,dest=PATH. Repeatable. [default: the store only]",
    ),
]
PlatformName = Annotated[
    str | None, typer.Option("--platform", metavar="OS/ARCH", envvar=_env("PLATFORM"), help="[default: this machine's]")
]
TrackerName = Annotated[
    str,
    typer.Option(
        "--tracker",
        metavar="NAME",
        envvar=_env("TRACKER"),
        help="auto, fanotify, inotify, overlay or scan: how changes of a RUN are found.",
    ),
]
HashMode = Annotated[
    str,
    typer.Option(
        "--hash",
        metavar="MODE",
        envvar=_env("HASH"),
        help="evidence: read a file where its metadata proves nothing; all: read every file looked at; "
        "none: never read (lossy, never cached, for measurements).",
    ),
]
Audit = Annotated[
    bool,
    typer.Option(
        "--audit",
        envvar=_env("AUDIT"),
        help="After every step read everything again, slowly and independently, and compare; a difference ends it with "
        "status 11.",
    ),
]
CompressionName = Annotated[
    str,
    typer.Option(
        "--compression", metavar="KIND", envvar=_env("COMPRESSION"), help="Of new layers: gzip, zstd or uncompressed."
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", envvar=_env("NO_CACHE"), help="Do every step again.")]
IIDFile = Annotated[
    str | None,
    typer.Option(
        "--iidfile", metavar="FILE", envvar=_env("IIDFILE"), help="Write the image ID (digest of its configuration)."
    ),
]
MetadataFile = Annotated[
    str | None,
    typer.Option(
        "--metadata-file", metavar="FILE", envvar=_env("METADATA_FILE"), help="Write digests and names, as JSON."
    ),
]
ProgressKind = Annotated[
    str, typer.Option("--progress", metavar="KIND", envvar=_env("PROGRESS"), help="auto, tty, plain, quiet or rawjson.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", envvar=_env("QUIET"), help="Print nothing but the image ID.")]
StoreDirectory = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="DIR",
        envvar=_env("STORE"),
        help="Where images, layers and the step cache lie. [default: see docs/cli.md]",
    ),
]


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
    """``NAME=VALUE``; a directory or file must be there."""
    found = pairs("--build-context", items)
    for name, value in found.items():
        if not value or not _CONTEXT_NAME.fullmatch(name):
            raise UsageError(f"--build-context {name}={value}: want NAME=VALUE", hint="such as base=./rootfs")
        if name in ("scratch", "context"):
            raise UsageError(f"--build-context {name}: this name has a meaning of its own")
        if "://" not in value and not os.path.exists(value):
            raise UsageError(
                f"--build-context {name}={value}: there is no such file or directory",
                hint="an image is written docker-image://NAME",
            )
    return found


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


def hash_mode(value: str) -> Hashing:
    """How much of the files reconcile reads."""
    match value:
        case "evidence" | "all" | "none":
            return value
        case _:
            raise UsageError(f"--hash {value}: want evidence, all or none")


def platform(text: str | None) -> Platform:
    """The platform asked for, else this machine's."""
    if text is None:
        return Platform.host()
    if "," in text:
        raise UsageError(f"--platform {text}: several platforms in one build are not supported yet")
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise UsageError(f"--platform: {error}") from error
