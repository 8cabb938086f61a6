"""What a Dockerfile starts from, brought to where it is to be built: to our own store, and to other builders.

Nobody else knows what this builder's options say of a name. So other builders get a Dockerfile of which each FROM names
an image that they were given.
"""

import os
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from fswatch_builder.build.bases import bases
from fswatch_builder.build.planner import plan
from fswatch_builder.build.request import Request, parsed, plan_options, source
from fswatch_builder.errors import BuildError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.instruction import Dockerfile, From
from fswatch_builder.model.plan import CopySource, ImageSource, NamedContext, Plan, Stage
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.layout import Directory, import_files
from fswatch_builder.oci.media_types import OCI_MANIFEST
from fswatch_builder.oci.names import INDEX, Names
from fswatch_builder.oci.reference import IMAGE_SCHEME, Reference
from fswatch_builder.oci.store import Store
from fswatch_builder.research.peers.base_archive import write_base
from fswatch_builder.research.peers.measuring import PeerError
from fswatch_builder.research.peers.peer import BASE

_SYNTAX = re.compile(rb"#\s*syntax\s*=", re.IGNORECASE)


class Script(Struct, frozen=True):
    """A Dockerfile that was read, and what it means."""

    text: bytes
    dockerfile: Dockerfile
    plan: Plan


def read(request: Request) -> Script:
    """Raises DockerfileError, UsageError: everything that can be told without looking at an image."""
    text, name = source(request)
    try:
        dockerfile = parsed(request, text, name)
        return Script(text, dockerfile, plan(dockerfile, plan_options(request, request.targets[0])))
    except BuildError as error:
        error.text = text
        raise


def bring_local(script: Script, users_store: str, store_directory: str) -> None:
    """Images that the Dockerfile names and the user's store has are copied. That one is only read. BuildError."""
    if not os.path.isfile(os.path.join(users_store, INDEX)):
        return
    names = Names(users_store)
    with Store.open(store_directory) as store:
        for reference, stage in _named(script.plan):
            platform = stage.platform
            found = _found(names, reference, platform)
            if found is not None:
                manifest = import_files(store, Directory(users_store), platform, digest=found)
                store.tag(reference, Descriptor(OCI_MANIFEST, manifest, store.size(manifest)), platform)


def _found(names: Names, reference: Reference, platform: Platform) -> Digest | None:
    """The manifest for the best of what a platform can run, or the index that it has to be in."""
    named = names.named(reference)
    alone = {entry.platform: entry.digest for entry in named}
    best = next((alone[candidate] for candidate in platform.candidates() if candidate in alone), None)
    return best or next((entry.digest for entry in named if entry.is_index), None)


def _named(the_plan: Plan) -> Iterator[tuple[Reference, Stage]]:
    for stage in the_plan.stages:
        for found in (stage.base, *stage.sources.values(), *stage.mount_sources.values()):
            if isinstance(found, ImageSource):
                try:
                    yield Reference.parse(found.reference), stage
                except ValueError:
                    continue  # the build says what is wrong with it


class ForPeers(Struct):
    """A Dockerfile for other builders; ``bases`` are manifests of the store by the names that it uses for them."""

    text: bytes
    bases: dict[str, Digest] = field(default_factory=dict)


def for_peers(script: Script, store_directory: str) -> ForPeers:
    """The store has all images: a build was done with it. PeerError for what cannot be brought to others."""
    stages = {stage.index: stage for stage in script.plan.stages}
    names: dict[Digest, str] = {}
    lines = script.text.splitlines(keepends=True)
    parts: list[bytes] = []
    with Store.open(store_directory) as store:
        starts = [one for one in script.dockerfile.instructions if isinstance(one, From)]
        parts += _above(lines[: starts[0].where.line - 1])
        for index, start in enumerate(starts):
            end = starts[index + 1].where.line - 1 if index + 1 < len(starts) else len(lines)
            first_below = start.where.end_line or start.where.line
            stage = stages.get(index)
            named = b"" if start.name is None else b" AS " + start.name.encode()
            if stage is None:  # its number stays
                parts.append(b"FROM scratch" + named + b"\n")
                continue
            base = _base(stage, store, names)
            parts += [b"FROM " + base.encode() + named + b"\n"] if base else lines[start.where.line - 1 : first_below]
            if stage.instructions:  # else a named context stands in its place
                parts += lines[first_below:end]
    return ForPeers(b"".join(parts), {name: manifest for manifest, name in names.items()})


def _above(lines: list[bytes]) -> list[bytes]:
    """Without the directive that would fetch another builder's frontend."""
    return [line for line in lines if _SYNTAX.match(line) is None]


def _base(stage: Stage, store: Store, names: dict[Digest, str]) -> str | None:
    """What others call its base; None: a stage, or nothing at all."""
    taken: tuple[CopySource | object, ...] = (*stage.sources.values(), *stage.mount_sources.values())
    if any(isinstance(one, ImageSource | NamedContext) for one in taken):
        raise PeerError("it takes files from images or named contexts, which are not brought to other builders")
    match stage.base:
        case ImageSource(reference=reference):
            manifest = bases(IMAGE_SCHEME + reference, store, stage.platform)
        case NamedContext(value=value):
            manifest = bases(value, store, stage.platform)
        case _:
            return None
    return names.setdefault(manifest, BASE if not names else f"{BASE}-{len(names) + 1}")


def archives(found: Mapping[str, Digest], store_directory: str, directory: str) -> dict[str, str]:
    """Each base in an archive of its own in ``directory``, by its name. BuildError."""
    written: dict[str, str] = {}
    with Store.open(store_directory) as store:
        for number, (name, manifest) in enumerate(found.items(), 1):
            written[name] = os.path.join(directory, f"base-{number}.tar")
            write_base(store, manifest, name, written[name])
    return written
