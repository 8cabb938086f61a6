"""The options of the command line: what they are called, what they default to, what ``--help`` says.

Every option of build can be given by an environment variable, ``FSWATCH_BUILDER_`` and its name in capitals. How values
are read is in ``values``, what is refused in ``refused``.
"""

from typing import Annotated

import typer


def _env(name: str) -> str:
    return f"FSWATCH_BUILDER_{name}"


Context = Annotated[
    str,
    typer.Argument(
        metavar="CONTEXT",
        help="What COPY and ADD may take from: a directory, a tar archive, a URL of one or of a git repository, or - "
        "for standard input (an archive, or a lone Dockerfile).",
    ),
]
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
        help="What NAME means in FROM, --from and as a stage: a directory, an archive, oci-layout://DIR, "
        "docker-image://REF, or a URL of an archive or git repository. Repeatable.",
    ),
]
BuildArgFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--build-arg-file",
        metavar="FILE",
        envvar=_env("BUILD_ARG_FILE"),
        help="Lines K=V, as for --build-arg, which goes before them. Repeatable.",
    ),
]
IgnoreFile = Annotated[
    str | None,
    typer.Option("--ignorefile", metavar="FILE", envvar=_env("IGNOREFILE"), help="Use this file and no .dockerignore."),
]
Annotations = Annotated[
    list[str] | None,
    typer.Option(
        "--annotation",
        metavar="[PLACE:]K=V",
        envvar=_env("ANNOTATION"),
        help="On the manifest; PLACE is manifest, manifest[OS/ARCH], index, manifest-descriptor or index-descriptor. "
        "Repeatable.",
    ),
]
Timestamp = Annotated[
    str | None,
    typer.Option(
        "--timestamp",
        metavar="SECONDS",
        envvar=_env("TIMESTAMP"),
        help="No time in image and layers is later, as with SOURCE_DATE_EPOCH; no ARG sees it.",
    ),
]
Pull = Annotated[
    bool,
    typer.Option("--pull", envvar=_env("PULL"), help="Ask the registry for images, even those in the local store."),
]
NoCacheFilter = Annotated[
    list[str] | None,
    typer.Option(
        "--no-cache-filter",
        metavar="STAGE,...",
        envvar=_env("NO_CACHE_FILTER"),
        help="Do the steps of these stages again. Repeatable.",
    ),
]
Call = Annotated[
    str,
    typer.Option(
        "--call",
        metavar="METHOD",
        envvar=_env("CALL"),
        help="Look at the Dockerfile instead of building it: check, outline (what a target takes) or targets. "
        "METHOD,format=json for a document.",
    ),
]
Check = Annotated[
    bool, typer.Option("--check", envvar=_env("CHECK"), help="Short for --call=check: make the build checks alone.")
]
Provenance = Annotated[
    str | None,
    typer.Option("--provenance", metavar="false", hidden=True, help="No attestation is made: false is all it takes."),
]
SBOM = Annotated[
    str | None,
    typer.Option("--sbom", metavar="false", hidden=True, help="No attestation is made: false is all it takes."),
]
Usual = Annotated[
    bool,
    typer.Option(
        "--layers", "--rm", "--force-rm", hidden=True, help="What other builders ask for and this one does anyway."
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
        help="Where the image goes besides the store: type=oci|docker|image|local|tar, with dest=PATH (- is standard "
        "output) and others; DIR alone is type=local. Repeatable.",
    ),
]
Load = Annotated[
    bool,
    typer.Option("--load", envvar=_env("LOAD"), help="Load the image into Docker, or podman: --output type=docker."),
]
SquashOwn = Annotated[
    bool, typer.Option("--squash", envvar=_env("SQUASH"), help="Make one layer of those that this build made.")
]
SquashAll = Annotated[
    bool, typer.Option("--squash-all", envvar=_env("SQUASH_ALL"), help="Make one layer of all, those of the base too.")
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        "--platform",
        metavar="OS/ARCH,...",
        envvar=_env("PLATFORM"),
        help="What machines the image is for; several make an index of one image for each. Repeatable. "
        "[default: this machine's]",
    ),
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
    str | None,
    typer.Option(
        "--compression",
        metavar="KIND",
        envvar=_env("COMPRESSION"),
        help="Of new layers: gzip, zstd or uncompressed. [default: what all outputs ask for, else gzip]",
    ),
]
UnpackLimit = Annotated[
    str,
    typer.Option(
        "--unpack-limit",
        metavar="size=N,ratio=N,entries=N",
        envvar=_env("UNPACK_LIMIT"),
        help="Refuse a layer or archive that unpacks to more. [default: size=100g,ratio=200,entries=5000000]",
    ),
]
AtOnce = Annotated[
    int | None,
    typer.Option(
        "--max-parallelism",
        "--jobs",
        metavar="N",
        min=0,
        envvar=_env("MAX_PARALLELISM"),
        help="Build no more than N stages at the same time; 0: any number. [default: one a processor]",
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", envvar=_env("NO_CACHE"), help="Do every step again.")]
NoKeptBases = Annotated[
    bool,
    typer.Option(
        "--no-kept-bases",
        envvar=_env("NO_KEPT_BASES"),
        help="Unpack every base anew, in place; leave none unpacked for later builds.",
    ),
]
IIDFile = Annotated[
    str | None,
    typer.Option(
        "--iidfile",
        metavar="FILE",
        envvar=_env("IIDFILE"),
        help="Write the image ID (digest of its configuration); of several platforms the digest of their index.",
    ),
]
MetadataFile = Annotated[
    str | None,
    typer.Option(
        "--metadata-file", metavar="FILE", envvar=_env("METADATA_FILE"), help="Write digests and names, as JSON."
    ),
]
ProgressKind = Annotated[
    str,
    typer.Option(
        "--progress", metavar="KIND", envvar=_env("PROGRESS"), help="auto, tty, plain, quiet, rawjson or none."
    ),
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
