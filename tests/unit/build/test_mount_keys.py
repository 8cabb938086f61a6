"""What changes the key of a RUN with mounts, and what does not: the whole table (X4, hazards H10, H11, I6)."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from fswatch_builder.build.keys import mount_key, run_inputs
from fswatch_builder.model.digest import ChainID, Digest
from fswatch_builder.model.mount import BindMount, CacheMount, Mount, SecretMount, SshMount, TmpfsMount
from fswatch_builder.model.plan import ImageSource, MainContext, StageSource
from fswatch_builder.model.sandbox import SandboxOptions, Ulimit
from fswatch_builder.model.step import RunAction
from tests.unit.build.planning import AMD64


def run_key(parent: ChainID | None, action: RunAction, epoch: int | None, mounts: Sequence[bytes] = ()) -> Digest:
    return run_inputs(parent, action, epoch, mounts).key


RUN = RunAction(AMD64, argv=("sh", "-c", "x"), env=("A=1",), cwd="/", user="")
BIND = BindMount("/t", MainContext())
CACHE = CacheMount("/t", "/t")
SEEDED = replace(CACHE, origin=StageSource(0))
TMPFS = TmpfsMount("/t")
SECRET = SecretMount("s", "/t")
SSH = SshMount("default", "/t")
ONE, OTHER = b"1" * 32, b"2" * 32

#: One mount, another, the digests over what they bring along.
DIFFERENT: list[tuple[Mount, Mount, bytes | None, bytes | None]] = [
    (BIND, BIND, ONE, OTHER),
    (BIND, replace(BIND, target="/u"), ONE, ONE),
    (BIND, replace(BIND, writable=True), ONE, ONE),
    (CACHE, replace(CACHE, id="x"), None, None),
    (CACHE, replace(CACHE, target="/u"), None, None),
    (CACHE, replace(CACHE, sharing="locked"), None, None),
    (CACHE, replace(CACHE, writable=False), None, None),
    (CACHE, replace(CACHE, source="/sub"), None, None),
    (CACHE, replace(CACHE, mode=0o700), None, None),
    (CACHE, replace(CACHE, uid=1), None, None),
    (CACHE, replace(CACHE, gid=1), None, None),
    (CACHE, SEEDED, None, ONE),
    (SEEDED, SEEDED, ONE, OTHER),
    (TMPFS, replace(TMPFS, target="/u"), None, None),
    (TMPFS, replace(TMPFS, size=1), None, None),
    (TMPFS, replace(TMPFS, writable=False), None, None),
    (SECRET, replace(SECRET, id="x"), None, None),
    (SECRET, replace(SECRET, target=None, env="E"), None, None),
    (SECRET, replace(SECRET, env="E"), None, None),
    (SECRET, replace(SECRET, required=True), None, None),
    (SECRET, replace(SECRET, mode=0o444), None, None),
    (SECRET, replace(SECRET, uid=1), None, None),
    (SECRET, replace(SECRET, gid=1), None, None),
    (SSH, replace(SSH, id="x"), None, None),
    (SSH, replace(SSH, target="/u"), None, None),
    (SSH, replace(SSH, required=True), None, None),
    (SSH, replace(SSH, mode=0o666), None, None),
    (CACHE, TMPFS, None, None),
    (SECRET, SSH, None, None),
]


@pytest.mark.parametrize(("one", "other", "content", "other_content"), DIFFERENT)
def test_whatever_a_run_can_see_of_a_mount_is_in_its_key(
    one: Mount, other: Mount, content: bytes | None, other_content: bytes | None
) -> None:
    assert mount_key(one, content) != mount_key(other, other_content)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BIND, replace(BIND, origin=ImageSource("a", AMD64))),
        (BIND, replace(BIND, source="/elsewhere")),
        (SEEDED, replace(SEEDED, origin=StageSource(3), source="/x")),
    ],
)
def test_content_decides_and_not_where_it_came_from(one: Mount, other: Mount) -> None:
    assert mount_key(one, ONE) == mount_key(other, ONE)


@pytest.mark.parametrize(
    "other",
    [
        replace(RUN, cache_namespace="n"),
        replace(RUN, network="none"),
        replace(RUN, security="insecure"),
        replace(RUN, options=SandboxOptions(hosts=(("a", "1.2.3.4"),))),
        replace(RUN, options=SandboxOptions(shm_size=1)),
        replace(RUN, options=SandboxOptions(ulimits=(Ulimit("nofile", 1, 2),))),
    ],
)
def test_the_sandbox_is_in_the_key(other: RunAction) -> None:
    assert run_key(None, other, None) != run_key(None, RUN, None)


def test_the_address_of_a_host_is_in_the_key() -> None:
    one, other = (replace(RUN, options=SandboxOptions(hosts=(("a", address),))) for address in ("1.1.1.1", "1.1.1.2"))
    assert run_key(None, one, None) != run_key(None, other, None)


def test_what_is_only_allowed_is_not() -> None:
    allowed = replace(RUN, options=SandboxOptions(allowed=frozenset(("network.host",))))
    assert run_key(None, allowed, None) == run_key(None, RUN, None)


def test_the_order_of_mounts_and_their_number_are_in_the_key() -> None:
    one, other = mount_key(BIND, ONE), mount_key(TMPFS, None)
    keys = {run_key(None, RUN, None, mounts) for mounts in ([], [one], [one, one], [one, other], [other, one])}
    assert len(keys) == 5
