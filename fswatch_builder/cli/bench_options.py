"""The options of ``bench``: what they are called, and what ``--help`` says."""

from typing import Annotated

import typer

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONTEXT | -- COMMAND...]",
        help="A directory with a Dockerfile, to measure its build. With --tree: what to run in the copy.",
    ),
]
TreeOption = Annotated[
    str | None,
    typer.Option("--tree", metavar="DIR", help="Measure a command on a copy of this tree."),
]
FileOption = Annotated[
    str | None, typer.Option("--file", "-f", metavar="FILE", help="The Dockerfile. [default: CONTEXT/Dockerfile]")
]
TargetOption = Annotated[str | None, typer.Option(metavar="STAGE", help="Of the Dockerfile: build this stage.")]
BuildArgOption = Annotated[
    list[str] | None, typer.Option("--build-arg", metavar="K=V", help="Of the Dockerfile: value of an ARG. Repeatable.")
]
BuildContextOption = Annotated[
    list[str] | None,
    typer.Option("--build-context", metavar="NAME=VALUE", help="Of the Dockerfile: as for build. Repeatable."),
]
PeersOption = Annotated[
    str | None,
    typer.Option(
        "--peers",
        metavar="auto|none|NAME[,NAME...]",
        help="Have others build too, the Dockerfile, or one with the workload as a RUN on a made tree: buildah, "
        "buildkit, kaniko; auto: those on PATH. [default: none]",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="DIR", help="Where local images lie that a Dockerfile may start from. It is only read."
    ),
]
CorpusOption = Annotated[
    list[str] | None,
    typer.Option("--corpus", metavar="NAME", help="A made tree and its number of files, such as wide-10k. Repeatable."),
]
WorkloadOption = Annotated[
    list[str] | None, typer.Option("--workload", metavar="NAME", help="What is run on made trees. Repeatable.")
]
StrategyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy", "--strategies", metavar="NAME[,NAME...]", help="How changes are found. Repeatable. [default: all]"
    ),
]
Repeat = Annotated[
    int | None,
    typer.Option("--repeat", metavar="N", min=1, help="Trials of each. [default: 10; 5 builds of a Dockerfile]"),
]
Quick = Annotated[bool, typer.Option("--quick", help="End within two minutes, with as many trials as fit.")]
CacheOption = Annotated[
    str,
    typer.Option(
        "--cache",
        metavar="STATE",
        help="warm, or cold-files: the kernel forgets the tree's contents before each trial.",
    ),
]
ColdOption = Annotated[
    bool,
    typer.Option("--cold", help="Drop all caches of the host before each trial (root): other programs feel that."),
]
DirectoryOption = Annotated[
    str | None, typer.Option("--directory", metavar="DIR", help="Where trees are made. [default: $TMPDIR or /tmp]")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of the order that trials are drawn in.")]
JsonFile = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write all rows and what they say. Interrupted, the same command goes on with the rows in FILE.part.",
    ),
]
HtmlFile = Annotated[str | None, typer.Option("--html", metavar="FILE", help="Write a page with plots and tables.")]
List = Annotated[bool, typer.Option("--list", help="List corpora, workloads and strategies, and end.")]
