"""What ``RUN --mount`` values mean: every type, key and default, and what is wrong with the others (R9 to R14)."""

import pytest

from fswatch_builder.dockerfile.mounts import Surroundings, read_mounts, source_of
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import Word
from fswatch_builder.model.mount import BindMount, CacheMount, Mount, MountSource, SecretMount, SshMount, TmpfsMount
from fswatch_builder.model.plan import ImageSource, MainContext, Scratch, StageSource
from fswatch_builder.model.platform import Platform

WHERE = Location("Dockerfile", 3)
ALPINE = ImageSource("alpine", Platform("linux", "amd64"))
SOURCES: dict[str, MountSource] = {"build": StageSource(0), "alpine": ALPINE, "scratch": Scratch()}
CONTEXT = MainContext()


def read(*texts: str, working_dir: str = "/w") -> tuple[Mount, ...]:
    around = Surroundings({"V": "value", "D": "/d"}, "\\", working_dir, SOURCES)
    return read_mounts([Word(text, WHERE) for text in texts], around)


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/t", BindMount("/t", CONTEXT)),
        ("type=bind,target=/t", BindMount("/t", CONTEXT)),
        ("TYPE=bind,Target=/t,SRC=a/b", BindMount("/t", CONTEXT, "/a/b")),
        ("dst=/t,source=/", BindMount("/t", CONTEXT)),
        ("destination=/t,source=../../x", BindMount("/t", CONTEXT, "/x")),
        ("from=build,target=/t", BindMount("/t", StageSource(0))),
        ("target=/t,from=alpine,source=/etc/x", BindMount("/t", ALPINE, "/etc/x")),
        ("target=/t,from=scratch,rw", BindMount("/t", Scratch(), writable=True)),
        ("target=/t,from=", BindMount("/t", CONTEXT)),
        ("target=/t,rw", BindMount("/t", CONTEXT, writable=True)),
        ("target=/t,readwrite=true", BindMount("/t", CONTEXT, writable=True)),
        ("target=/t,rw,ro", BindMount("/t", CONTEXT)),
        ("target=/t,ro,rw,ro=0", BindMount("/t", CONTEXT, writable=True)),
        ("target=/t,rw=false", BindMount("/t", CONTEXT)),
        ("target=t", BindMount("/w/t", CONTEXT)),
        ("source=a", BindMount("/w", CONTEXT, "/a")),
        ("target=../t/./x//y/", BindMount("/t/x/y", CONTEXT)),
        ("target=//t", BindMount("/t", CONTEXT)),
        ("target=$D/x,source=${V}", BindMount("/d/x", CONTEXT, "/value")),
        ('target=/t,"source=a,b"', BindMount("/t", CONTEXT, "/a,b")),
        ("type=cache,target=/c", CacheMount("/c", "/c")),
        ("target=/c,id=x,type=cache", CacheMount("/c", "x")),
        ("type=cache,target=c/../d/", CacheMount("/w/d", "d")),
        ("type=cache", CacheMount("/w", ".")),
        ("type=cache,target=/c,id=${V}-$V", CacheMount("/c", "value-value")),
        ("type=cache,target=/c,sharing=locked", CacheMount("/c", "/c", "locked")),
        ("type=cache,target=/c,sharing=private,ro", CacheMount("/c", "/c", "private", writable=False)),
        ("type=cache,target=/c,from=build,source=x", CacheMount("/c", "/c", origin=StageSource(0), source="/x")),
        ("type=cache,target=/c,mode=1770,uid=5,gid=0", CacheMount("/c", "/c", mode=0o1770, uid=5, gid=0)),
        ("type=tmpfs,target=/t", TmpfsMount("/t")),
        ("type=tmpfs,target=/t,size=64m,ro", TmpfsMount("/t", 64 << 20, writable=False)),
        ("type=tmpfs,size=1.5GiB,target=/t", TmpfsMount("/t", 3 << 29)),
        ("type=secret,id=x", SecretMount("x", "/run/secrets/x")),
        ("type=secret,id=a/b", SecretMount("a/b", "/run/secrets/b")),
        ("type=secret,source=x", SecretMount("x", "/run/secrets/x")),
        ("type=secret,target=/k/token", SecretMount("token", "/k/token")),
        ("type=secret,id=x,target=k", SecretMount("x", "/w/k")),
        ("type=secret,id=x,env=E", SecretMount("x", None, "E")),
        ("type=secret,id=x,env=E,target=/k", SecretMount("x", "/k", "E")),
        ("type=secret,id=x,required", SecretMount("x", "/run/secrets/x", required=True)),
        (
            "type=secret,id=x,required=false,mode=0444,uid=1,gid=2",
            SecretMount("x", "/run/secrets/x", None, False, 0o444, 1, 2),
        ),
        ("type=ssh", SshMount("default", "/run/buildkit/ssh_agent.0")),
        ("type=ssh,id=x,target=/s,required=1,mode=660,uid=3,gid=4", SshMount("x", "/s", True, 0o660, 3, 4)),
    ],
)
def test_a_mount(text: str, mount: Mount) -> None:
    assert read(text) == (mount,)


@pytest.mark.parametrize(("text", "mode"), [("type=secret,id=x", 0o400), ("type=ssh", 0o600)])
def test_secrets_and_agents_are_root_s_unless_it_is_said_otherwise(text: str, mode: int) -> None:
    (mount,) = read(text)
    assert isinstance(mount, SecretMount | SshMount)
    assert (mount.mode, mount.uid, mount.gid) == (mode, 0, 0)


def test_a_cache_is_shared_unless_it_says_otherwise() -> None:
    (mount,) = read("type=cache,target=/c")
    assert isinstance(mount, CacheMount)
    assert (mount.sharing, mount.writable) == ("shared", True)


def test_ssh_mounts_are_numbered() -> None:
    targets = [mount.target for mount in read("type=ssh", "target=/t", "type=ssh,target=/s", "type=ssh,id=b")]
    assert targets == ["/run/buildkit/ssh_agent.0", "/t", "/s", "/run/buildkit/ssh_agent.2"]


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("target=/", 'invalid mount target "/"', "below"),
        ("target=../..", 'invalid mount target "/"', "below"),
        ("type=bnd,target=/t", 'unsupported mount type "bnd"', "did you mean bind?"),
        ("targt=/t", "unexpected key 'targt' in 'targt=/t'", "did you mean target?"),
        ("type=cache,target=/t,sharng=locked", "unexpected key 'sharng'", "did you mean sharing?"),
        ("target", "invalid field 'target' must be a key=value pair", None),
        ("target=/t,uid=1", "unexpected key 'uid' for mount type 'bind'", "bind mounts have target"),
        ("target=/t,mode=0755", "unexpected key 'mode' for mount type 'bind'", "bind mounts have"),
        ("target=/t,sharing=locked", "unexpected key 'sharing' for mount type 'bind'", "bind mounts have"),
        ("target=/t,required", "unexpected key 'required' for mount type 'bind'", "type has to come before it"),
        ("required,type=secret,id=x", "unexpected key 'required' for mount type 'bind'", "type has to come before"),
        ("size=1m,type=tmpfs,target=/t", "unexpected key 'size' for mount type 'bind'", "type has to come before"),
        ("type=secret,id=x,from=build", "unexpected key 'from' for mount type 'secret'", "secret mounts have"),
        ("type=secret,id=x,sharing=locked", "unexpected key 'sharing' for mount type 'secret'", "secret mounts have"),
        ("type=ssh,source=x", "unexpected key 'source' for mount type 'ssh'", "ssh mounts have"),
        ("type=tmpfs,target=/t,mode=755", "unexpected key 'mode' for mount type 'tmpfs'", "tmpfs mounts have"),
        ("type=cache,target=/t,sharing=public", 'unsupported sharing value "public"', "there are shared"),
        ("type=cache,target=/t,mode=9", "invalid value '9' for mode", "octal"),
        ("type=cache,target=/t,mode=17777", "invalid value '17777' for mode", "octal"),
        ("type=cache,target=/t,uid=-1", "invalid value '-1' for uid", "number"),
        ("type=cache,target=/t,uid=4294967295", "invalid value '4294967295' for uid", "number"),
        ("type=cache,target=/t,gid=1_0", "invalid value '1_0' for gid", "number"),
        ("type=tmpfs,target=/t,size=big", "invalid value for size: not a size: 'big'", None),
        ("target=/t,ro=yes", "invalid value for ro: yes", "true or false"),
        ("type=secret", "a secret mount needs an id or a target", "--mount=type=secret,id=token"),
        ("type=secret,id=x,src=y", "either a source or an id", None),
        ("type=secret,id=x,env=A=B", "invalid name of a variable", None),
        ("", "unexpected key", "there are"),
        ('target=/t,"source=a', "unexpected end of data", None),
    ],
)
def test_what_is_wrong_is_said_with_a_way_out(text: str, what: str, hint: str | None) -> None:
    with pytest.raises(DockerfileError) as caught:
        read(text)
    assert what in caught.value.what
    assert caught.value.where == WHERE
    assert hint is None or hint in (caught.value.hint or "")


def test_variables_are_refused_in_from_alone() -> None:
    assert source_of(Word("target=$V,From=build", WHERE)) == "build"
    assert source_of(Word("target=/t", WHERE)) is None
    with pytest.raises(DockerfileError, match=r"variables are not expanded in from=\$V") as caught:
        source_of(Word("target=/t,from=$V", WHERE))
    assert "FROM $V AS source" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "option", ["bind-propagation=shared", "propagation=rshared", "exec", "z", "U", "relabel=shared"]
)
def test_l8_no_option_of_mount_can_be_slipped_in(option: str) -> None:
    with pytest.raises(DockerfileError, match="unexpected key"):
        read(f"target=/t,{option}")
