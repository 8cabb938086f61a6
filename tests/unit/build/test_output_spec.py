"""The words of --output, as docker takes them."""

import pytest

from fswatch_builder.build.output.spec import (
    ArchiveOutput,
    EngineOutput,
    LayoutOutput,
    Output,
    StoreOutput,
    TarOutput,
    TreeOutput,
    parse,
)
from fswatch_builder.build.output.variants import Packing
from fswatch_builder.build.output.write import common_packing
from fswatch_builder.errors import UsageError
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.reference import Reference


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("type=oci,dest=x.tar", ArchiveOutput("oci", "x.tar")),
        ("type=image,oci-mediatypes=true", StoreOutput()),
        ("type=oci,dest=dir,tar=false", LayoutOutput("oci", "dir")),
        ("type=docker,dest=dir,tar=0", LayoutOutput("docker", "dir")),
        ("dest=-,type=docker", ArchiveOutput("docker", "-")),
        ("type=oci", ArchiveOutput("oci", "-")),
        ("type=docker", EngineOutput()),
        ("type=image", StoreOutput()),
        ("type=image,push=false", StoreOutput()),
        ("type=local,dest=d", TreeOutput("d")),
        ("type=local,dest=d,mode=delete", TreeOutput("d", "delete")),
        ("type=tar", TarOutput("-")),
        ("type=tar,dest=x.tar", TarOutput("x.tar")),
        ("out/dir", TreeOutput("out/dir")),
        ("-", TarOutput("-")),
        ('type=oci,"dest=a,b.tar"', ArchiveOutput("oci", "a,b.tar")),
        ('type=oci,"dest=say ""x"".tar"', ArchiveOutput("oci", 'say "x".tar')),
        ("type=oci,dest=a=b", ArchiveOutput("oci", "a=b")),
        ("TYPE=oci, Dest=x", ArchiveOutput("oci", "x")),
        (
            'type=image,"name=a:1,ghcr.io/b/c"',
            StoreOutput((Reference.parse("a:1"), Reference.parse("ghcr.io/b/c"))),
        ),
        (
            "type=oci,dest=x,compression=zstd,compression-level=19,force-compression=true,rewrite-timestamp=false",
            ArchiveOutput("oci", "x", packing=Packing(Compression.ZSTD, 19, force=True, rewrite_timestamp=False)),
        ),
        ("type=oci,dest=x,compression-level=9", ArchiveOutput("oci", "x", packing=Packing(Compression.GZIP, 9))),
    ],
)
def test_outputs_are_read_as_docker_reads_them(text: str, output: Output) -> None:
    assert parse(text) == output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=image,push=true", "pushing to a registry is not supported yet"),
        ("type=registry,name=x", "pushing to a registry is not supported yet"),
        ("type=cacheonly", "no such output"),
        ("type=zip,dest=x", "unknown type 'zip'"),
        ("dest=x", "no type"),
        ("type=local", "no destination"),
        ("type=local,dest=", "no destination"),
        ("type=local,dest=x,mode=mirror", "copy or delete"),
        ("type=local,dest=x,compression=zstd", "'compression' is not supported for type=local"),
        ("type=tar,dest=x,name=a", "'name' is not supported for type=tar"),
        ("type=image,dest=x", "'dest' is not supported for type=image"),
        ("type=oci,dest=x,annotation.a=b", r"'annotation\.a' is not supported"),
        ("type=oci,dest=x,oci-mediatypes=false", "has OCI's media types"),
        ("type=oci,dest=x,compression=estargz", "unknown compression 'estargz'"),
        ("type=oci,dest=x,compression=zstd,compression-level=0", "zstd has no level 0"),
        ("type=oci,dest=x,compression=gzip,compression-level=10", "gzip has no level 10"),
        ("type=oci,dest=x,compression=uncompressed,compression-level=1", "uncompressed has no level 1"),
        ("type=oci,dest=x,compression-level=high", "is a number"),
        ("type=oci,dest=x,force-compression=2", "true or false"),
        ("type=oci,dest=x,tar=maybe", "true or false"),
        ("type=oci,dest=x,dest=y", "dest is given twice"),
        ("type=oci,dest=-,tar=false", "standard output"),
        ("type=local,dest=-", "standard output"),
        ("type=docker,tar=false", "no destination"),
        ("type=oci,dest=x,name=UPPER:x:y", "--output"),
        ("type=oci,x", "not KEY=VALUE"),
        ('type=oci,"dest', "unexpected end"),
    ],
)
def test_what_is_wrong_or_not_supported_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text)


def test_outputs_that_agree_shape_the_image_in_the_store_too() -> None:
    zstd, gzip = "type=oci,dest=x,compression=zstd", "type=docker,dest=y,compression=gzip"
    assert common_packing([parse(zstd), parse("dir")]) == Packing(Compression.ZSTD)
    assert common_packing([parse(zstd), parse(gzip)]) == Packing()
    assert common_packing([parse("dir"), parse("-")]) == Packing()
    off = "type=image,rewrite-timestamp=false"
    assert common_packing([parse(zstd), parse(off)]).rewrite_timestamp is False
    with pytest.raises(UsageError, match="disagree about rewrite-timestamp"):
        common_packing([parse("type=image,rewrite-timestamp=true"), parse(off)])
