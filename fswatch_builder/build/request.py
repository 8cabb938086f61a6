"""What is asked for: the values of the command line as one, and what they mean for the Dockerfile and its plan."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct, field

from fswatch_builder.build.contexts import read_dockerfile
from fswatch_builder.build.mounting import Lent
from fswatch_builder.build.output.variants import AS_IT_IS, Packing
from fswatch_builder.build.planner import PlanOptions
from fswatch_builder.dockerfile.lint import Check
from fswatch_builder.dockerfile.parser import parse
from fswatch_builder.errors import DockerfileError, UsageError
from fswatch_builder.model.annotation import Annotation
from fswatch_builder.model.instruction import Dockerfile
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.sandbox import SandboxOptions
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.reference import Reference

if TYPE_CHECKING:
    from fswatch_builder.model.hash_mode import HashMode

#: The build argument that replaces the check directive.
CHECK_ARG: Final = "BUILDKIT_DOCKERFILE_CHECK"


class Request(Struct, frozen=True):
    """What is to be built, and how. ``context`` is a directory, ``dockerfile`` the path of a file. With ``keep_bases``
    bases stay unpacked for later builds. No more than ``at_once`` stages (0: any number) are built at the same time.

    ``squash`` makes one layer of the build's own, or of all. Steps make layers of ``compression``; those of the image
    are then as ``packing`` wants them. ``origin`` is what the user calls the context.
    ``text`` is the Dockerfile if it comes from elsewhere; ``dockerfile`` is then what messages call it.
    """

    context: str
    dockerfile: str
    origin: str = ""
    platforms: tuple[Platform, ...] = ()  # none given: this machine's
    target: str | None = None
    names: tuple[Reference, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: tuple[Annotation, ...] = ()
    ignorefile: str | None = None
    epoch: int | None = None
    context_epoch: int | None = None
    tracker: str = "auto"
    hash_mode: "HashMode" = "evidence"
    audit: bool = False
    use_cache: bool = True
    uncached_stages: frozenset[str] = frozenset()
    refresh: bool = False  # images of registries are asked for even if they are in the store
    keep_bases: bool = True
    at_once: int = 1
    compression: Compression = Compression.GZIP
    packing: Packing = AS_IT_IS
    squash: Literal["no", "own", "all"] = "no"
    text: bytes | None = None
    ignores: bool = True  # an ignore file counts
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)
    lent: Lent = field(default_factory=Lent)

    @property
    def project(self) -> tuple[str, str]:
        """What tells its Dockerfile from others of the same store."""
        return self.origin, os.path.abspath(self.dockerfile) if self.text is None else self.dockerfile

    @property
    def targets(self) -> tuple[Platform, ...]:
        """What is built for."""
        return self.platforms or (Platform.host(),)

    @property
    def makes_index(self) -> bool:
        """Whether the images go into an index; one alone does if BUILDKIT_MULTI_PLATFORM says so."""
        return len(self.targets) > 1 or self._switch("BUILDKIT_MULTI_PLATFORM")

    @property
    def keeps_git_dir(self) -> bool:
        """Whether a build context from git shall have its ``.git``."""
        return self._switch("BUILDKIT_CONTEXT_KEEP_GIT_DIR")

    def _switch(self, name: str) -> bool:
        return self.build_args.get(name, "").lower() in ("1", "t", "true")


def source(request: Request) -> tuple[bytes, str]:
    """The Dockerfile's bytes, and its name as a user would type it. Raises DockerfileError."""
    if request.text is not None:
        return request.text, request.dockerfile
    text = read_dockerfile(request.dockerfile, request.context)
    relative = os.path.relpath(request.dockerfile)
    return text, request.dockerfile if relative.startswith("..") else relative


def parsed(request: Request, text: bytes, name: str) -> Dockerfile:
    """The Dockerfile with the checks that are wanted. Raises ParseError, UsageError."""
    wanted = request.build_args.get(CHECK_ARG)
    try:
        check = None if wanted is None else Check.parse(wanted)
    except DockerfileError as error:
        raise UsageError(f"--build-arg {CHECK_ARG}={wanted}: {error.what}", hint=error.hint) from error
    return parse(text, name, check)


def check_annotations(request: Request) -> None:
    """An index that is not made cannot be annotated. Raises UsageError."""
    for one in request.annotations:
        if one.place.startswith("index") and not request.makes_index:
            raise UsageError(
                f"--annotation {one.place}:{one.name}=...: an image for one platform has a manifest and no index",
                hint="give --platform several, or --build-arg BUILDKIT_MULTI_PLATFORM=1",
            )


def plan_options(request: Request, platform: Platform) -> PlanOptions:
    """What of the request concerns the plan for a platform."""
    return PlanOptions(
        platform=platform,
        build_platform=Platform.host(),
        target=request.target,
        build_args=request.build_args,
        contexts=request.contexts,
        epoch=request.epoch,
        context_epoch=request.context_epoch,
        sandbox=request.sandbox,
    )


def beside(request: Request) -> str | None:
    """Where an ignore file of the Dockerfile's own would be; one without a place has none. None: none counts."""
    if not request.ignores:
        return None
    return request.dockerfile if request.text is None else f"{request.context}/"
