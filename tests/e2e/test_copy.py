"""COPY and ADD, one small case a rule: what is in the layer, with which mode and owner.

All cases are the instructions of one build, each with a directory of its own for its destination.
"""

import gzip
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fswatch_builder.build import executor, placing
from fswatch_builder.build.sources import Sources
from fswatch_builder.build.worksite import Worksite
from fswatch_builder.errors import BuildContextError, BuildError, DockerfileError
from fswatch_builder.model.step import CopyAction
from tests.support.builds import Result, Workshop
from tests.support.images import layer_of, member, tar_of

pytestmark = pytest.mark.root

Want = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """``line`` with ``@`` for its own directory; ``want``: name below it to kind, mode and owner."""

    name: str
    line: str
    want: Want


F, X, D, S = "f 644 0:0", "f 755 0:0", "d 755 0:0", "l 777 0:0"

CASES = [
    Case("c1 source from the root, clamped", "COPY /../a.txt ./d/../b.txt @/", {"a.txt": F, "b.txt": F}),
    Case("c1 a slash at its end means nothing", "COPY d/e/f/ @/", {"f": F}),
    Case("c1 nor does the WORKDIR of a stage", "COPY --from=other owned/f @/", {"f": "f 640 5:6"}),
    Case("c2 a new name, parents made", "COPY a.txt @/p/q/new", {"p": D, "p/q": D, "p/q/new": F}),
    Case("c2 a slash makes a directory", "COPY a.txt @/p/", {"p": D, "p/a.txt": F}),
    Case(
        "c3 contents only, own mode of what is inside",
        "COPY modes @",
        {"": D, "sub": "d 700 0:0", "sub/f": "f 600 0:0"},
    ),
    Case("c4 several without a slash: the last one", "COPY a.txt b.txt @/last", {"last": F}),
    Case("c5 star", "COPY *.txt @/", {"a.txt": F, "b.txt": F}),
    Case("c5 question mark and class", "COPY [ab].t?t @/", {"a.txt": F, "b.txt": F}),
    Case("c5 escaped bracket", "COPY [[]x @/", {"[x": F}),
    Case("c5 one level", "COPY d/*/f @/", {"f": F}),
    Case("c5 a link that matches is followed", "COPY to-[a] @/", {"to-a": F}),
    Case("c6 a link that is named is followed", "COPY to-a @/", {"to-a": F}),
    Case("c6 a link in a tree stays one", "COPY links @/", {"": D, "dangling": S, "in": S}),
    Case("c6 a link to a directory is followed", "COPY to-d/e/f @/", {"f": F}),
    Case(
        "c7 name and its group", "COPY --chown=app a.txt @/n/", {"n": "d 755 1000:1000", "n/a.txt": "f 644 1000:1000"}
    ),
    Case("c7 number alone", "COPY --chown=7 a.txt @/", {"": "d 755 7:7", "a.txt": "f 644 7:7"}),
    Case("c7 name and number", "COPY --chown=app:9 a.txt @/", {"": "d 755 1000:9", "a.txt": "f 644 1000:9"}),
    Case("c7 numbers", "COPY --chown=3:4 a.txt @/", {"": "d 755 3:4", "a.txt": "f 644 3:4"}),
    Case("c7 group alone", "COPY --chown=:app a.txt @/", {"": "d 755 0:1000", "a.txt": "f 644 0:1000"}),
    Case("c7 from a stage ids are kept", "COPY --from=other /owned @/", {"": D, "f": "f 640 5:6", "d": "d 750 7:8"}),
    Case(
        "c8 octal covers parents",
        "COPY --chmod=0700 a.txt @/p/",
        {"": "d 700 0:0", "p": "d 700 0:0", "p/a.txt": "f 700 0:0"},
    ),
    Case("c8 four digits", "COPY --chmod=4755 a.txt @/", {"": "d 4755 0:0", "a.txt": "f 4755 0:0"}),
    Case("c8 zero", "COPY --chmod=0 a.txt @/", {"": "d 0 0:0", "a.txt": "f 0 0:0"}),
    Case("c8 symbolic", "COPY --chmod=u=rwX,go=rX modes @/", {"": D, "sub": D, "sub/f": F}),
    Case("c8 symbolic, not for parents", "COPY --chmod=go-rwx a.txt @/", {"": D, "a.txt": "f 600 0:0"}),
    Case("c8 never on links", "COPY --chmod=600 links @/", {"": "d 600 0:0", "dangling": S, "in": S}),
    Case("c10 link", "COPY --link a.txt @/p/", {"": D, "p": D, "p/a.txt": F}),
    Case(
        "c10 link of a directory has it",
        "COPY --link modes @/p",
        {"p": D, "p/sub": "d 700 0:0", "p/sub/f": "f 600 0:0"},
    ),
    Case("c10 link with numbers", "COPY --link --chown=3:4 a.txt @/p/", {"": D, "p": D, "p/a.txt": "f 644 3:4"}),
    Case("c10 link with a mode is a copy", "COPY --link --chmod=600 a.txt @/", {"": "d 600 0:0", "a.txt": "f 600 0:0"}),
    Case("c11 exclude", "COPY --exclude=*.o --exclude=sub tree @/", {"": D, "m.c": F, "deep": D, "deep/n.o": F}),
    Case(
        "c11 exclude at any level",
        "COPY --exclude=**/*.o tree @/",
        {"": D, "m.c": F, "deep": D, "sub": D, "sub/s.c": F},
    ),
    Case("c11 exclude and take back", "COPY --exclude=* --exclude=!m.c tree @/", {"": D, "m.c": F}),
    Case("c11 exclude what a wildcard finds", "COPY --exclude=a* *.txt @/", {"b.txt": F}),
    Case("c11 a named file is not excluded", "COPY --exclude=a.txt a.txt @/", {"a.txt": F}),
    Case("c11 links too", "COPY --exclude=in links @/", {"": D, "dangling": S}),
    Case("c11 a hash is a name", "COPY --exclude=#x hash @/", {"": D, "y": F}),
    Case(
        "c12 parents",
        "COPY --parents tree/sub/s.c a.txt @/",
        {"": D, "tree": D, "tree/sub": D, "tree/sub/s.c": F, "a.txt": F},
    ),
    Case("c12 pivot", "COPY --parents tree/./sub/s.c @/", {"": D, "sub": D, "sub/s.c": F}),
    Case("c12 first pivot counts", "COPY --parents ./tree/./sub/./s.c @/", {"": D, "sub": D, "sub/s.c": F}),
    Case("c12 any level", "COPY --parents tree/./**/*.c @/", {"": D, "m.c": F, "sub": D, "sub/s.c": F}),
    Case("c12 one level", "COPY --parents tree/*.c @/", {"": D, "tree": D, "tree/m.c": F}),
    Case("c12 pivot behind a wildcard", "COPY --parents t*e/./m.c @/", {"": D, "m.c": F}),
    Case("c12 a directory whole", "COPY --parents tree/./sub @/", {"": D, "sub": D, "sub/s.c": F, "sub/s.o": F}),
    Case("c12 no match", "COPY --parents tree/**/none* @/", {"": D}),
    Case("c12 with exclude", "COPY --parents --exclude=**/*.o tree/./sub @/", {"": D, "sub": D, "sub/s.c": F}),
    Case(
        "f7 parents with an owner",
        "COPY --parents --chown=3:4 tree/sub/s.c @/",
        {"": "d 755 3:4", "tree": "d 755 3:4", "tree/sub": "d 755 3:4", "tree/sub/s.c": "f 644 3:4"},
    ),
    Case("c12 from a stage", "COPY --parents --from=other /owned/./d @/", {"": D, "d": "d 750 7:8"}),
    Case("c13 heredoc", "COPY <<E @/\nx\nE", {"": D, "E": F}),
    Case("c13 heredocs", "COPY --chmod=755 <<A <<B @/\nx\nA\ny\nB", {"": D, "A": X, "B": X}),
    Case("c13 a heredoc and a file", "COPY a.txt <<E @/\nx\nE", {"a.txt": F, "E": F}),
    Case("c13 linked", "COPY --link <<E @/\nx\nE", {"": D, "E": F}),
    Case("c15 archive", "ADD arc.bin @/", {"": D, "in": F}),
    Case("c15 unpack", "ADD --unpack arc.bin @/", {"": D, "in": F}),
    Case("c15 kept", "ADD --unpack=false arc.bin @/", {"": D, "arc.bin": F}),
    Case("c15 copy never unpacks", "COPY arc.bin @/", {"": D, "arc.bin": F}),
    Case("c15 the archive's own owners", "ADD ids.bin @/", {"": D, "in": "f 640 5:6", "sub": "d 750 7:8"}),
    Case("c15 owner", "ADD --chown=3:4 arc.bin @/", {"": "d 755 3:4", "in": "f 644 3:4"}),
    Case("c15 mode is not for an archive", "ADD --chmod=600 arc.bin @/", {"in": F}),
    Case("c15 archives by wildcard", "ADD arc.* @/", {"": D, "in": F, "two": F}),
    Case("c15 exclude is not for an archive", "ADD --exclude=in arc.bin @/", {"in": F}),
    Case("c15 empty", "ADD empty.tar.gz @/", {"": D, "empty.tar.gz": F}),
    Case("c15 linked", "ADD --link --chown=3:4 arc.bin @/p/", {"": D, "p": D, "p/in": "f 644 3:4"}),
    Case("x3 a context of one's own", "COPY --from=extra . @/", {"": D, "e": F}),
]


def fill(workshop: Workshop) -> None:
    for name in (
        "a.txt",
        "b.txt",
        "[x",
        "d/e/f",
        "tree/m.c",
        "tree/m.o",
        "tree/sub/s.c",
        "tree/sub/s.o",
        "tree/deep/n.o",
    ):
        workshop.write(name)
    workshop.write("hash/#x")
    workshop.write("hash/y")
    workshop.write("modes/sub/f").chmod(0o600)
    (workshop.context / "modes/sub").chmod(0o700)
    (workshop.context / "modes").chmod(0o711)
    os.chown(workshop.context / "a.txt", 12, 34)
    for name, target in {"to-a": "a.txt", "to-d": "d", "links/dangling": "/none", "links/in": "../a.txt"}.items():
        path = workshop.context / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(target)
    workshop.write("arc.bin", gzip.compress(tar_of({"in": b"x"})))
    workshop.write("arc.two", tar_of({"two": b"x"}))
    directory = member("sub", kind=tarfile.DIRTYPE, mode=0o750, uid=7, gid=8)
    workshop.write("ids.bin", layer_of(member("in", b"x", mode=0o640, uid=5, gid=6), directory))
    workshop.write("empty.tar.gz", "")
    (workshop.context.parent / "extra").mkdir()
    (workshop.context.parent / "extra/e").write_text("e")
    (workshop.context.parent / "extra/hidden").write_text("h")
    (workshop.context.parent / "extra/.dockerignore").write_text("hidden\n.dockerignore\n")


OTHER = (
    "FROM base AS other\nRUN mkdir -p /owned/d && echo x >/owned/f && chmod 640 /owned/f && chown 5:6 /owned/f"
    " && chmod 750 /owned/d && chown 7:8 /owned/d\nWORKDIR /owned\n"
)


@pytest.fixture(scope="module")
def workshop_of_cases(tmp_path_factory: pytest.TempPathFactory, busybox: Path) -> Workshop:
    place = tmp_path_factory.mktemp("copy")
    (place / "context").mkdir()
    workshop = Workshop(place / "context", place / "store", busybox)
    fill(workshop)
    return workshop


@pytest.fixture(scope="module")
def built(workshop_of_cases: Workshop) -> Result:
    lines = [case.line.replace("@", f"/case{number}") for number, case in enumerate(CASES)]
    extra = str(workshop_of_cases.context.parent / "extra")
    contexts = {"base": str(workshop_of_cases.base), "extra": extra}
    return workshop_of_cases.build(OTHER + "FROM base\n" + "\n".join(lines) + "\n", contexts=contexts)


def described(member: tarfile.TarInfo) -> str:
    kind = "d" if member.isdir() else "l" if member.issym() else "f" if member.isfile() else "?"
    return f"{kind} {member.mode:o} {member.uid}:{member.gid}"


def members_below(result: Result, number: int, top: str) -> dict[str, str]:
    found = {}
    for made in result.members(result.layers[number]):
        assert made.name == top or made.name.startswith(top + "/")
        found[made.name[len(top) :].strip("/")] = described(made)
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_rule(built: Result, number: int) -> None:
    case = CASES[number]
    found = members_below(built, number, f"case{number}")
    want = dict(case.want)
    if "" not in want:
        want[""] = found.get("", "the directory itself")  # told only where it is the point
    assert found == want


def test_each_instruction_made_one_layer(built: Result) -> None:
    assert len(built.layers) == len(CASES)


@pytest.mark.parametrize(
    ("line", "error", "what"),
    [
        ("COPY none /", BuildContextError, '"/none": not found'),
        ("COPY d/none /", BuildContextError, '"/d/none": not found'),
        ("COPY --parents tree/./none /d/", BuildContextError, '"/tree/none": not found'),
        ("COPY --parents tree/./sub/none /d/", BuildContextError, '"/tree/sub/none": not found'),
        ("COPY --exclude=[ a.txt /", BuildContextError, "--exclude cannot be used"),
        ("COPY --exclude=! a.txt /", BuildContextError, "--exclude cannot be used"),
        ("COPY [ /", BuildContextError, "cannot use '[' as a source"),
        ("COPY --chmod=8 a.txt /", DockerfileError, "invalid chmod parameter: '8'"),
        ("COPY --chmod=10000 a.txt /", DockerfileError, "invalid chmod parameter: '10000'"),
        ("COPY --chmod=u+q a.txt /", DockerfileError, "invalid chmod parameter: 'u+q'"),
        ("COPY --chown=nobody-here a.txt /", DockerfileError, "unable to find user 'nobody-here'"),
        ("COPY --chown=4294967296 a.txt /", DockerfileError, "user ID 4294967296 is out of range"),
        ("COPY --link --chown=app a.txt /", DockerfileError, "unable to find user 'app'"),
        ("COPY a.txt /etc", None, None),
        ("COPY d /etc/passwd", BuildContextError, "cannot copy to non-directory"),
        ("COPY ../../../../etc/hostname /", BuildContextError, '"/../../../../etc/hostname": not found'),
        ("ADD file:///etc/passwd /", BuildContextError, '"/file:///etc/passwd": not found'),
    ],
)
def test_errors(workshop_of_cases: Workshop, line: str, error: type[BuildError] | None, what: str | None) -> None:
    if error is None:
        workshop_of_cases.build(f"FROM base\n{line}\n")
        return
    with pytest.raises(error) as caught:
        workshop_of_cases.build(f"FROM base\n{line}\n")
    assert what is not None
    assert what in caught.value.what
    assert caught.value.where is not None
    assert caught.value.where.line == 2


@pytest.mark.parametrize(("owner", "number", "ids"), [("app", "7", (7, 7)), ("1000:app", "1000:7", (1000, 7))])
def test_on_scratch_numbers_are_owners_and_names_are_not(
    workshop: Workshop, owner: str, number: str, ids: tuple[int, int]
) -> None:
    workshop.write("f")
    with pytest.raises(DockerfileError, match=r"unable to find (user|group) 'app'") as caught:
        workshop.build(f"FROM scratch\nCOPY --chown={owner} f /\n")
    assert caught.value.where is not None
    result = workshop.build(f"FROM scratch\nCOPY --chown={number} f /\n")
    assert [(made.uid, made.gid) for made in result.members(result.layers[0])] == [ids]


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("hidden", "but the ignore file excludes it"),
        ("dangling", "it is a link to /etc/shadow, which is not in the source"),
        ("none", "paths are relative to the root of the build context"),
    ],
)
def test_why_a_source_is_not_found(workshop: Workshop, source: str, hint: str) -> None:
    workshop.write(".dockerignore", "hidden\n")
    workshop.write("hidden")
    (workshop.context / "dangling").symlink_to("/etc/shadow")
    with pytest.raises(BuildContextError) as caught:
        workshop.build(f"FROM scratch\nCOPY {source} /\n")
    assert hint in (caught.value.hint or "")


def test_a_link_does_not_depend_on_what_is_below(workshop: Workshop) -> None:
    workshop.write("f")
    line = "COPY --link f /var/run/x/\n"
    first = workshop.build(f"FROM base\n{line}")
    second = workshop.build(
        f"FROM base\nRUN mkdir -p /var && ln -s /run /var/run && mkdir /run\n{line}"
        "RUN test -d /var/run && ! test -L /var/run\n"
    )
    assert second.recorder.statuses() == ["done", "cached", "done"]
    assert first.diff_ids()[0] == second.diff_ids()[1]
    third = workshop.build(f"FROM base\n{line}RUN test -f /var/run/x/f\n")
    assert third.recorder.statuses() == ["cached", "done"]


def test_f6_a_link_gives_the_directories_above_to_nobody(workshop: Workshop) -> None:
    workshop.write("f")
    workshop.write("d/g")
    result = workshop.build("FROM scratch\nCOPY --link --chown=7:8 f /p/q/\nCOPY --link --chown=7:8 d /r/s\n")
    owners = [
        {member.name: (oct(member.mode), member.uid, member.gid) for member in result.members(layer)}
        for layer in result.layers
    ]
    assert owners == [
        {"p": ("0o755", 0, 0), "p/q": ("0o755", 0, 0), "p/q/f": ("0o644", 7, 8)},
        {"r": ("0o755", 0, 0), "r/s": ("0o755", 7, 8), "r/s/g": ("0o644", 7, 8)},
    ]


def test_a_directory_that_is_there_keeps_what_it_has(workshop: Workshop) -> None:
    workshop.write("s/f")
    (workshop.context / "s").chmod(0o700)
    result = workshop.build(
        "FROM base\nRUN mkdir -p /d && chown 5:6 /d && chmod 1770 /d && touch -d '2001-09-09 01:46:40' /d\n"
        "COPY --chown=1:2 --chmod=604 s /d\nRUN stat -c '%a %u:%g %Y' /d >/told && stat -c '%a %u:%g' /d/f >>/told\n"
    )
    assert result.text(result.layers[-1], "told") == "1770 5:6 1000000000\n604 1:2\n"


def test_a_file_that_changes_meanwhile_is_not_cached(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hazard H: the key tells of the files as they were when it was made."""
    workshop.write("f", "one\n")

    def place(action: CopyAction, sources: Sources, site: Worksite) -> placing.Placed:
        workshop.write("f", "two\n")
        return placing.place(action, sources, site)

    monkeypatch.setattr(executor, "place", place)
    text = "FROM scratch\nCOPY f /f\n"
    first = workshop.build(text)
    monkeypatch.undo()
    assert first.text(first.layers[0], "f") == "two\n"
    workshop.write("f", "one\n")
    second = workshop.build(text)
    assert second.recorder.statuses() == ["done"]
    assert second.text(second.layers[0], "f") == "one\n"


@pytest.mark.parametrize(
    ("flags", "hit"),
    [("", False), ("--exclude=g", True), ("--parents", False)],
    ids=["all", "what changed is excluded", "all with parents"],
)
def test_what_is_not_taken_does_not_count(workshop: Workshop, flags: str, hit: bool) -> None:
    text = f"FROM scratch\nCOPY {flags} d /x/\n"
    workshop.write("d/f", "f")
    workshop.write("d/g", "1")
    workshop.build(text)
    workshop.write("d/g", "2")
    assert workshop.build(text).recorder.statuses() == ["cached" if hit else "done"]
