"""What `bench` and `limits` wrote, read again."""

import os
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from fswatch_builder.errors import UsageError
from fswatch_builder.research.bench.document import SCHEMA as BENCH_SCHEMA
from fswatch_builder.research.bench.document import Document
from fswatch_builder.research.builds.document import SCHEMA as BUILD_SCHEMA
from fswatch_builder.research.builds.document import BuildDocument
from fswatch_builder.research.limits.run import SCHEMA as LIMITS_SCHEMA
from fswatch_builder.research.limits.run import Report


class Results(Struct, frozen=True):
    """In the order in which they were named."""

    benches: tuple[Document, ...]
    reports: tuple[Report, ...]
    builds: tuple[BuildDocument, ...] = ()


def read(paths: Sequence[str]) -> Results:
    """Files, and all JSON files of directories. UsageError for one that holds no results."""
    found = [_read(file) for path in paths for file in _files(path)]
    return Results(
        tuple(one for one in found if isinstance(one, Document)),
        tuple(one for one in found if isinstance(one, Report)),
        tuple(one for one in found if isinstance(one, BuildDocument)),
    )


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    found = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".json"))
    if not found:
        raise UsageError(f"{path} holds no results", hint="give what `bench --json` or `limits --out` wrote")
    return found


def _decoded(content: bytes) -> Document | BuildDocument | Report:
    """Its members tell which it is."""
    members = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).keys()
    if "contest" in members:
        return msgspec.json.decode(content, type=BuildDocument)
    if "plan" in members:
        return msgspec.json.decode(content, type=Document)
    return msgspec.json.decode(content, type=Report)


def _schemas(found: Document | BuildDocument | Report) -> tuple[int, int]:
    """Its version, and the one that is read."""
    match found:
        case Document():
            return found.schema, BENCH_SCHEMA
        case BuildDocument():
            return found.schema, BUILD_SCHEMA
        case Report():
            return found.settings.schema, LIMITS_SCHEMA


def _read(path: str) -> Document | BuildDocument | Report:
    try:
        with open(path, "rb") as file:
            content = file.read()
        found = _decoded(content)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} holds no results: {error}") from error
    schema, known = _schemas(found)
    if schema != known:
        raise UsageError(f"{path} is of version {schema}, and {known} is what this program reads")
    return found
