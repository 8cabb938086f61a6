"""``diff``: what differs between two images, and the same as two real unpacked trees say."""

import json
import os
import random
import tarfile
from pathlib import Path

import pytest

from fswatch_builder._native import LayerStack
from fswatch_builder.changes import oracle
from tests.support.cli import fswatch_builder
from tests.support.images import Fields, layer_of, make_image, member, put_in_store
from tests.support.layers import Layers

BASE = layer_of(
    member("etc", kind=tarfile.DIRTYPE),
    member("etc/conf", b"a=1\n"),
    member("etc/mode", b"m"),
    member("etc/owner", b"o"),
    member("etc/time", b"t"),
    member("old/deep/f", b"x"),
    member("kind", b"file"),
    member("link", kind=tarfile.SYMTYPE, link="etc/conf"),
    member("one", b"1"),
    member("two", kind=tarfile.LNKTYPE, link="one"),
    member("caps", b"c"),
)
TOP = layer_of(
    member("etc/conf", b"a=2\n"),
    member("etc/mode", b"m", mode=0o600),
    member("etc/owner", b"o", uid=7, gid=8),
    member("etc/time", b"t", mtime=1_600_000_001),
    member(".wh.old"),
    member("kind", kind=tarfile.DIRTYPE),
    member("kind/new", b"n"),
    member("link", kind=tarfile.SYMTYPE, link="etc/mode"),
    member("two", b"1"),
    member("caps", b"c", pax_headers={"SCHILY.xattr.user.a": "b"}),
    member("added", b"123"),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    one = make_image([BASE], config={"Cmd": ["sh"], "Env": ["PATH=/bin", "A=1"]})
    other = make_image([BASE, TOP], config={"Cmd": ["sh", "-x"], "Env": ["PATH=/bin", "B=2"]})
    put_in_store(tmp_path / "store", {"a:1": one, "b:1": other, "same:1": one})
    return tmp_path / "store"


def diff(store: Path, *arguments: str) -> tuple[int, str]:
    done = fswatch_builder("diff", f"--store={store}", *arguments, check=False)
    assert done.stderr == "" or done.returncode > 1, done.stderr
    return done.returncode, done.stdout


def test_every_kind_of_difference_in_words(store: Path) -> None:
    status, told = diff(store, "a:1", "b:1")
    assert status == 1
    assert [line.rstrip() for line in told.splitlines()] == [
        "A  /added      3B 0644",
        "M  /caps       xattrs +user.a",
        "M  /etc/conf   content, 4B as before",
        "M  /etc/mode   mode 0644 -> 0600",
        "M  /etc/owner  owner 0 -> 7, group 0 -> 8",
        "M  /etc/time   mtime 2020-09-13 12:26:40.000 -> 2020-09-13 12:26:41.000",
        "R  /kind/      file -> directory 0755",
        "A  /kind/new   1B 0644",
        "M  /link       -> etc/mode, was etc/conf",
        "D  /old/       directory",
        "M  /one        hard links 2 -> 1",
        "M  /two        hard links 2 -> 1",
        "config Env: -A=1 +B=2",
        'config Cmd: ["sh"] -> ["sh","-x"]',
        "2 added, 8 modified, 1 replaced, 1 deleted; 1 layer of 1 and 2 the same",
    ]


def test_nothing_is_0_and_trouble_is_more_than_1(store: Path) -> None:
    assert diff(store, "a:1", "same:1") == (0, "the files are the same; 1 layer of 1 and 1 the same\n")
    assert diff(store, "-q", "a:1", "b:1") == (1, "")
    assert diff(store, "a:1", "nope:1")[0] == 5


def test_what_is_ignored_is_left_out(store: Path) -> None:
    _, told = diff(store, "--ignore", "mtime", "--ignore=config", "--ignore=uid", "a:1", "b:1")
    assert "/etc/time" not in told
    assert "config" not in told
    assert "/etc/owner" in told  # its group differs too
    assert fswatch_builder("diff", "--ignore=x", "a", "b", check=False).returncode == 2


def test_the_document(store: Path) -> None:
    status, told = diff(store, "--json", "a:1", "b:1")
    document = json.loads(told)
    assert status == 1
    assert (document["version"], document["same"], document["shared_layers"]) == (1, False, 1)
    assert document["images"][0]["names"] == ["a:1", "same:1"]
    changes = {change["path"]: change for change in document["changes"]}
    assert changes["etc/mode"]["why"] == ["mode"]
    assert changes["etc/mode"]["after"]["mode"] == "0600"
    assert {field["name"]: field["after"] for field in document["config"]}["Cmd"] == ["sh", "-x"]
    assert json.loads(diff(store, "--json", "a:1", "same:1")[1])["same"] is True


def test_names_of_an_image_do_not_steer_a_terminal(tmp_path: Path) -> None:
    evil = layer_of(member("e\x1b[2J\u202evil", b"x"))
    put_in_store(tmp_path / "store", {"a:1": make_image([BASE]), "b:1": make_image([evil])})
    _, told = diff(tmp_path / "store", "a:1", "b:1")
    assert not {"\x1b", "\u202e"} & set(told)


@pytest.mark.parametrize("layer", [layer_of(member("../x", b"x")), layer_of(member(".wh.", b"")), BASE[:700]])
def test_a_layer_that_breaks_the_rules_is_an_error(tmp_path: Path, layer: bytes) -> None:
    put_in_store(tmp_path / "store", {"a:1": make_image([BASE]), "b:1": make_image([layer])})
    status, told = diff(tmp_path / "store", "a:1", "b:1")
    assert (status, told) == (5, "")


def random_layer(chance: random.Random) -> bytes:
    """Entries, links of both kinds, whiteouts of few names, so that they meet."""
    names = ["a", "b", "c", "d"]

    def path() -> str:
        return "/".join(chance.choice(names) for _ in range(chance.randint(1, 3)))

    members = []
    for _ in range(chance.randint(1, 12)):
        fields: Fields = {
            "mode": chance.choice([0o644, 0o4755]),
            "uid": chance.choice([0, 5]),
            "mtime": chance.randint(1, 3),
        }
        name = path()
        match chance.randint(0, 7):
            case 0 | 1:
                members.append(member(name, chance.choice([b"", b"1", b"2"]), **fields))
            case 2 | 3:
                members.append(member(name, kind=tarfile.DIRTYPE, **fields))
            case 4:
                target = chance.choice(["..", "/", ""]) + path()
                members.append(member(name, kind=tarfile.SYMTYPE, link=target))
            case 5:
                members.append(member(name, kind=tarfile.LNKTYPE, link=path()))
            case 6:
                head, _, tail = name.rpartition("/")
                members.append(member(f"{head}/.wh.{tail}".lstrip("/")))
            case _:
                members.append(member(f"{name}/.wh..wh..opq"))
    return layer_of(*members)


def stack_of(layers: list[bytes], directory: Path) -> LayerStack | None:
    """The stack of those layers; None if they break the rules."""
    stack = LayerStack()
    for layer in layers:
        (directory / "layer.tar").write_bytes(layer)
        with open(directory / "layer.tar", "rb") as file:
            try:
                stack.add(file.fileno())
            except (ValueError, OSError):
                return None
    return stack


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users, which takes root")
@pytest.mark.parametrize("seed", range(40))
def test_the_same_as_two_unpacked_trees_say(tmp_path: Path, seed: int) -> None:
    """Random layers: what they make is what unpacking makes, and their difference that of the trees."""
    chance = random.Random(seed)
    trees: list[dict[bytes, oracle.OracleEntry]] = []
    stacks: list[LayerStack] = []
    while len(trees) < 2:
        directory = tmp_path / str(chance.random())
        directory.mkdir()
        layers = Layers(directory)
        raw = [random_layer(chance) for _ in range(3)]
        for number, content in enumerate(raw):
            layers.tars.append(directory / f"{number}.tar")
            layers.tars[-1].write_bytes(content)
        stack = stack_of(raw, directory)
        try:
            layers.unpack(directory / "root")
        except (ValueError, OSError):
            assert stack is None
            continue
        assert stack is not None
        trees.append(oracle.snapshot(os.fsencode(directory / "root")))
        stacks.append(stack)
    told = {change.path: (change.kind, change.why) for change in stacks[0].differences(stacks[1])}
    assert told == expected(*trees)
    for path, entry in trees[1].items():
        assert (stacks[1].source(path) is not None) == (entry.kind == "file"), path


def expected(before: dict[bytes, oracle.OracleEntry], after: dict[bytes, oracle.OracleEntry]) -> dict[bytes, object]:
    """By the definition of a difference, from what is on disk."""
    found: dict[bytes, object] = {}
    for path in before.keys() | after.keys():
        above = path.rpartition(b"/")[0]
        if path not in after:
            if above in after and after[above].kind == "directory":
                found[path] = ("deleted", frozenset())
        elif path not in before:
            found[path] = ("added", frozenset())
        elif before[path].kind != after[path].kind:
            found[path] = ("replaced", frozenset())
        else:
            counts = ["mode", "uid", "gid", "xattrs", *(["rdev", "target", "content", "mtime_ns"] if path else [])]
            why = {name for name in counts if getattr(before[path], name) != getattr(after[path], name)}
            if names(before, path) != names(after, path):
                why.add("links")
            if why:
                found[path] = ("modified", frozenset(name.removesuffix("_ns") for name in why))
    return found


def names(state: dict[bytes, oracle.OracleEntry], path: bytes) -> set[bytes]:
    """Of the inode at a path."""
    inode = state[path].inode
    return {path} if inode is None else {other for other, entry in state.items() if entry.inode == inode}
