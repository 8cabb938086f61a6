"""The words of ``--output``, as docker buildx takes them: ``type=oci,dest=app.tar,compression=zstd``."""

import csv
from typing import Final, Literal

from msgspec import Struct

from fswatch_builder.build.output.variants import AS_IT_IS, Packing
from fswatch_builder.errors import UsageError
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.output import Form
from fswatch_builder.oci.packing import LEVELS
from fswatch_builder.oci.reference import Reference


class StoreOutput(Struct, frozen=True):
    """The image in the local store."""

    names: tuple[Reference, ...] = ()
    packing: Packing = AS_IT_IS


class ArchiveOutput(Struct, frozen=True):
    """The image as a tar; ``dest`` is a path, or ``-`` for standard output."""

    form: Form
    dest: str
    names: tuple[Reference, ...] = ()
    packing: Packing = AS_IT_IS


class LayoutOutput(Struct, frozen=True):
    """The image as a directory."""

    form: Form
    dest: str
    names: tuple[Reference, ...] = ()
    packing: Packing = AS_IT_IS


class EngineOutput(Struct, frozen=True):
    """The image among those of Docker, or of podman, on this machine."""

    names: tuple[Reference, ...] = ()
    packing: Packing = AS_IT_IS


class TreeOutput(Struct, frozen=True):
    """The files of the image in a directory. ``delete``: and nothing else is in it afterwards.

    ``split``: those of each platform in a directory of their own; None: if there is an index.
    """

    dest: str
    mode: Literal["copy", "delete"] = "copy"
    split: bool | None = None


class TarOutput(Struct, frozen=True):
    """The files of the image in one tar; ``dest`` is a path, or ``-`` for standard output."""

    dest: str


ImageOutput = StoreOutput | ArchiveOutput | LayoutOutput | EngineOutput
Output = ImageOutput | TreeOutput | TarOutput

_PACKING: Final = frozenset({"compression", "compression-level", "force-compression", "rewrite-timestamp"})
_IMAGE: Final = _PACKING | {"type", "name", "oci-mediatypes"}
_KEYS: Final = {
    "image": _IMAGE | {"push"},
    "oci": _IMAGE | {"dest", "tar"},
    "docker": _IMAGE | {"dest", "tar"},
    "local": frozenset({"type", "dest", "mode", "platform-split"}),
    "tar": frozenset({"type", "dest"}),
}
_PUSH: Final = (
    "write an archive and push that: -o type=oci,dest=app.tar, then skopeo copy oci-archive:app.tar docker://NAME"
)


def parse(text: str) -> Output:
    """One ``--output``: a list in CSV; ``DIR`` alone is ``type=local``, ``-`` ``type=tar``. Raises UsageError."""
    fields = _Fields(text, _split(text))
    kind = fields.take("type")
    if kind == "registry" or (kind == "image" and fields.boolean("push", default=False)):
        raise UsageError(f"--output {text}: pushing to a registry is not supported yet", hint=_PUSH)
    if kind == "cacheonly":
        raise UsageError(
            f"--output {text}: there is no such output here", hint="without --output only the store is written"
        )
    if kind not in _KEYS:
        raise UsageError(
            f"--output {text}: " + ("no type" if kind is None else f"unknown type {kind!r}"),
            hint=f"the types are {', '.join(sorted(_KEYS))}",
        )
    fields.check(kind, _KEYS[kind])
    match kind:
        case "image":
            return StoreOutput(fields.names(), fields.packing())
        case "local":
            split = fields.boolean("platform-split", default=True) if "platform-split" in fields.values else None
            return TreeOutput(fields.destination(), fields.mode(), split)
        case "tar":
            return TarOutput(fields.take("dest") or "-")
        case _:
            return _image_output("docker" if kind == "docker" else "oci", fields)


def _image_output(form: Form, fields: "_Fields") -> ImageOutput:
    names, packing = fields.names(), fields.packing()
    if not fields.boolean("tar", default=True):
        return LayoutOutput(form, fields.destination(), names, packing)
    dest = fields.take("dest") or ""
    if not dest and form == "docker":
        return EngineOutput(names, packing)
    return ArchiveOutput(form, dest or "-", names, packing)


def _split(text: str) -> dict[str, str]:
    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise UsageError(f"--output {text}: {error}") from None
    if len(row) == 1 and "=" not in row[0]:
        return {"type": "tar" if row[0] == "-" else "local", "dest": row[0]}
    fields: dict[str, str] = {}
    for item in row:
        key, equals, value = item.partition("=")
        key = key.strip().lower()
        if not equals:
            raise UsageError(f"--output {text}: {item!r} is not KEY=VALUE")
        if key in fields:
            raise UsageError(f"--output {text}: {key} is given twice")
        fields[key] = value
    return fields


class _Fields(Struct, frozen=True):
    """The fields of one ``--output``; ``text`` is what the user wrote."""

    text: str
    values: dict[str, str]

    def error(self, what: str, hint: str | None = None) -> UsageError:
        return UsageError(f"--output {self.text}: {what}", hint=hint)

    def check(self, kind: str, known: frozenset[str]) -> None:
        for key in self.values:
            if key not in known:
                takes = f"it takes {', '.join(sorted(known))}"
                hint = "--annotation says it, for all outputs" if key.startswith("annotation") else takes
                raise self.error(f"{key!r} is not supported for type={kind}", hint)
        if not self.boolean("oci-mediatypes", default=True):
            raise self.error("what is written has OCI's media types, which docker load takes too", "leave it out")

    def take(self, key: str) -> str | None:
        return self.values.get(key)

    def destination(self) -> str:
        """Of a directory."""
        dest = self.values.get("dest")
        if not dest:
            raise self.error("no destination", "add dest=DIR")
        if dest == "-":
            raise self.error("a directory does not fit through standard output", "give dest=DIR")
        return dest

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self.values.get(key)
        if value is None:
            return default
        if value in ("1", "t", "T", "true", "TRUE", "True"):
            return True
        if value in ("0", "f", "F", "false", "FALSE", "False"):
            return False
        raise self.error(f"{key} is true or false, not {value!r}")

    def names(self) -> tuple[Reference, ...]:
        try:
            return tuple(
                Reference.parse(name.strip()) for name in self.values.get("name", "").split(",") if name.strip()
            )
        except ValueError as error:
            raise self.error(str(error)) from None

    def mode(self) -> Literal["copy", "delete"]:
        match self.values.get("mode", "copy"):
            case "copy":
                return "copy"
            case "delete":
                return "delete"
            case other:
                raise self.error(f"mode is copy or delete, not {other!r}")

    def packing(self) -> Packing:
        compression, level = self._compression(), self._level()
        force = self.boolean("force-compression", default=False)
        if level is not None:
            compression = compression or Compression.GZIP
            allowed = LEVELS[compression]
            if level not in allowed:
                raise self.error(
                    f"{compression.value} has no level {level}",
                    f"it has {allowed[0]} to {allowed[-1]}" if allowed else "leave compression-level out",
                )
        rewrite = self.boolean("rewrite-timestamp", default=True) if "rewrite-timestamp" in self.values else None
        return Packing(compression, level, force, rewrite)

    def _compression(self) -> Compression | None:
        value = self.values.get("compression")
        if value is None:
            return None
        try:
            return Compression(value)
        except ValueError:
            known = ", ".join(compression.value for compression in Compression)
            raise self.error(f"unknown compression {value!r}", f"there are {known}") from None

    def _level(self) -> int | None:
        value = self.values.get("compression-level")
        if value is None:
            return None
        if not value.isascii() or not value.isdecimal():
            raise self.error(f"compression-level is a number, not {value!r}")
        return int(value)
