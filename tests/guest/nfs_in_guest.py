"""Two machines use one store over NFS, in a guest: ``python -m tests.guest --suite nfs``.

Not named as tests are, so that it runs only where it is asked for: it needs the kernel's NFS server. The client's
caches, locks and lost locks are real here; what they may do to a store is also played, without NFS, in
``tests/unit/oci/test_shared.py``.
"""

import fcntl
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from fswatch_builder.build.events import Event, StepFinished
from fswatch_builder.errors import BuildError, StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.keeping.prune import Wish, prune
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.guest.hosts import Client, Pause, Server, Version
from tests.support.builds import Recorder, Workshop
from tests.support.cli import fswatch_builder
from tests.support.store_churn import check, churn, verified
from tests.support.stores import AMD64, listed, make_image, publish

KILLS: Final = int(os.environ.get("KILLS", "6"))
SEED: Final = int(os.environ.get("SEED", "1"))
#: Seconds that a victim lives at most: on emulated processors it takes some to open the store.
_LONGEST_S: Final = 6.0
_TURNS: Final = 10
_NOTES: Final = 200  # several pages of the database
KEY: Final = Digest.of(b"key")
NAME: Final = Reference.parse("app:1")
DOCKERFILE: Final = """FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "echo hello > /f; chown 5:6 /f; ln /f /g"]
RUN ["/bin/busybox", "mkdir", "/d"]
"""


class Pair(Struct, frozen=True):
    """Two clients of one server, and where they have mounted the same directory of it."""

    server: Server
    a: Client
    b: Client
    version: Version
    directory: Path


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Client, Client]]:
    assert Path("/run/results/plan.json").exists(), "it starts the kernel's NFS server: in a guest only"
    with ExitStack() as running:
        server = Server()
        running.callback(server.end)
        clients = []
        for number in (2, 3):
            client = Client(server, number, tmp_path_factory.mktemp("boots"))
            running.callback(client.end)
            clients.append(client)
        exported = tmp_path_factory.mktemp("x") / "shared"
        exported.mkdir()
        server.export(exported, "no_root_squash")
        for name, mode in (("squashed", 0o777), ("closed", 0o755)):
            directory = exported.with_name(name)
            directory.mkdir()
            directory.chmod(mode)
            server.export(directory, "root_squash")
        yield server, clients[0], clients[1]


@pytest.fixture(scope="session", params=["4.2", "3"], ids=["nfs4", "nfs3"])
def pair(request: pytest.FixtureRequest, machines: tuple[Server, Client, Client]) -> Pair:
    server, a, b = machines
    points = {client.mount(request.param, "shared") for client in (a, b)}
    return Pair(server, a, b, request.param, points.pop())


@pytest.fixture
def store(pair: Pair, request: pytest.FixtureRequest) -> str:
    """A directory that no other test has used, by its path on both clients."""
    return str(pair.directory / f"{request.node.originalname}-{pair.version}")


def everything_unused(directory: str) -> set[Digest]:
    """Removes what no machine uses: the keys of what went."""
    with Store.open(directory) as store:
        return {key for thing in prune(store, Wish(images=True)).removed for key in thing.keys}


def assert_whole(pair: Pair, directory: str) -> None:
    """Both machines agree that it is, and that nothing is left over.

    Each sweeps what its own dead left before: the other one would wait a day for a sign of life.
    """

    def bury() -> None:
        with Store.open(directory) as opened:
            opened.session.others()

    for client in (pair.a, pair.b):
        client.do(bury)
    for client in (pair.a, pair.b):
        client.do(lambda: check(directory))


def test_the_machines_are_two_clients_that_see_each_others_locks(pair: Pair, store: str) -> None:
    def lock() -> bool:
        with open(store, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def hold(pause: Pause) -> None:
        with open(store, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            pause()

    holder = pair.a.begin(hold)
    assert not pair.b.do(lock)
    holder.kill()
    assert pair.b.do(lock)
    addresses = [pair.a.address, pair.b.address]
    if pair.version == "3":
        assert pair.server.with_locks() == addresses
    else:
        clients = pair.server.clients()
        assert sorted(clients) == addresses
        assert len({told.splitlines()[0] for told in clients.values()}) == 2


def _build(store: str, context: Path, name: str, recorder: Recorder | None = None) -> tuple[Digest, list[str]]:
    """Its manifest, and how its steps ended."""
    context.mkdir(exist_ok=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, context)
    workshop = Workshop(context, Path(store), context)
    done = workshop.build(DOCKERFILE, recorder=recorder, names=(Reference.parse(name),), epoch=1)
    return done.built.manifest.digest, done.recorder.statuses()


class Pausing(Recorder):
    """Pauses a build when its second step is done."""

    def __init__(self, pause: Pause) -> None:
        super().__init__()
        self._pause = pause

    def emit(self, event: Event) -> None:
        super().emit(event)
        if isinstance(event, StepFinished) and len(self.statuses()) == 2:
            self._pause()


def test_builds_of_one_file_at_the_same_time_make_one_image(pair: Pair, store: str, tmp_path: Path) -> None:
    def build(name: str) -> tuple[Digest, list[str]]:
        return _build(store, tmp_path / name, name)

    building = [client.start(partial(build, client.name)) for client in (pair.a, pair.b)]
    made = {one.result()[0] for one in building}
    assert len(made) == 1
    assert pair.b.do(partial(build, "again")) == (made.pop(), ["cached"] * 3)
    assert_whole(pair, store)


def test_a_build_keeps_what_another_machine_would_remove(pair: Pair, store: str, tmp_path: Path) -> None:
    building = pair.b.begin(lambda pause: _build(store, tmp_path / "context", "app:1", Pausing(pause)))

    def remove_unused() -> tuple[int, int]:
        with Store.open(store) as opened:
            done = prune(opened, Wish(images=True))
            return len(done.removed), len(done.in_use)

    removed, spared = pair.a.do(remove_unused)
    assert removed == 0
    assert spared > 0
    assert building.result()[1] == ["done"] * 3
    assert_whole(pair, store)


def test_what_a_machine_has_just_made_or_removed_is_seen_on_the_other(pair: Pair, store: str) -> None:
    """Though the other one has looked right before, and its client remembers that."""

    def known() -> bool:
        with Store.open(store) as opened, opened.kept.use(Kind.MOUNT, KEY) as thing:
            found = opened.find(NAME, AMD64)
            if found is not None:
                assert all(opened.has(layer.descriptor.digest) for layer in opened.load_image(found).layers)
            assert (found is None) == (thing.path is None)
            return found is not None

    def make() -> None:
        with Store.open(store) as opened:
            make_image(opened, b"1", b"2", name="app:1")
            publish(opened, Kind.MOUNT, KEY)

    for maker, other in ((pair.a, pair.b), (pair.b, pair.a)):
        assert not other.do(known)
        maker.do(make)
        assert other.do(known)
        other.do(lambda: everything_unused(store))
        assert not maker.do(known)
    assert_whole(pair, store)


def test_a_store_that_both_make_at_once_loses_no_name(pair: Pair, store: str) -> None:
    def make(name: str) -> None:
        with Store.open(store) as opened:
            make_image(opened, b"1", name=name)

    for making in [client.start(partial(make, client.name)) for client in (pair.a, pair.b)]:
        making.result()

    def names() -> list[str]:
        with Store.open(store) as opened:
            return [image.name.familiar() for image in listed(opened)]

    assert pair.a.do(names) == pair.b.do(names) == [f"{client.name}:latest" for client in (pair.a, pair.b)]


def test_one_machine_at_a_time_has_its_turn(pair: Pair, store: str) -> None:
    counter = pair.directory / f"counter-{pair.version}"
    pair.a.do(lambda: counter.write_text("0"))

    def count() -> None:
        with Store.open(store) as opened:
            for _ in range(_TURNS):
                with opened.kept.turn(Kind.MOUNT, KEY):
                    counter.write_text(str(int(counter.read_text()) + 1))

    for counting in [client.start(count) for client in (pair.a, pair.b)]:
        counting.result()
    assert pair.b.do(counter.read_text) == str(2 * _TURNS)


def test_what_a_machine_uses_stays_though_it_is_cut_off_for_longer_than_its_lease(pair: Pair, store: str) -> None:
    held = Digest.of(b"held")

    def hold(pause: Pause) -> bool:
        with Store.open(store) as opened:
            opened.put(b"held")
            pause()
            opened.put(b"more")
            return opened.has(held)

    holder = pair.b.begin(hold)
    with pair.server.cut_off(pair.b):
        if pair.version == "4.2":
            pair.server.until_silent(pair.b)
        assert held not in pair.a.do(lambda: everything_unused(store))
    assert holder.result()
    assert held in pair.a.do(lambda: everything_unused(store))
    assert_whole(pair, store)


def while_cut_off(pair: Pair, begin: Callable[[Pause], str | None], action: Callable[[], None]) -> str | None:
    """B is cut off where ``begin`` pauses, and A does ``action``: with NFS 4 once B's lease has run out, with NFS 3,
    whose locks stay, when B is back. The error that B's ``begin`` returns then: there is one with NFS 4, and none with
    NFS 3.
    """
    cut = pair.b.begin(begin)
    with pair.server.cut_off(pair.b):
        if pair.version == "4.2":
            pair.server.until_silent(pair.b)
        doing = pair.a.start(action)
        if pair.version == "4.2":
            doing.result()
    error: str | None = cut.result()
    if pair.version == "3":
        doing.result()
    assert (error is None) == (pair.version == "3"), error
    return error


def test_a_machine_that_is_cut_off_in_a_transaction_takes_nothing_from_the_others(pair: Pair, store: str) -> None:
    """With NFS 4 it has lost the database's lock when it is back, and is told so; with NFS 3 the others wait for it."""

    def begin(pause: Pause) -> str | None:
        with Store.open(store) as opened:
            try:
                with opened.state.transaction():
                    opened.memory.note("ours", b"", b"")
                    pause()
            except StoreError as error:
                return error.what
        return None

    def note() -> None:
        with Store.open(store) as opened, opened.state.transaction():
            for number in range(_NOTES):
                opened.memory.note("theirs", b"%d" % number, bytes(100))

    def notes() -> list[tuple[str, int]]:
        with Store.open(store) as opened:
            assert opened.state.renew_if_damaged() is None
            return opened.state.rows("SELECT kind, count(*) FROM notes GROUP BY kind ORDER BY kind")

    error = while_cut_off(pair, begin, note)
    for client in (pair.b, pair.a):
        assert client.do(notes) == [*([("ours", 1)] if error is None else []), ("theirs", _NOTES)]
    assert_whole(pair, store)


def test_a_machine_that_is_cut_off_while_it_writes_the_list_of_images_takes_no_name_from_it(
    pair: Pair, store: str
) -> None:
    def begin(pause: Pause) -> str | None:
        with Store.open(store) as opened:
            make_image(opened, b"1", name="app:1")
            try:
                with opened.state.transaction():
                    before = opened.names.entries()
                    pause()
                    opened.names.write(before)
            except BuildError as error:
                return error.what
        return None

    def give_another() -> None:
        with Store.open(store) as opened:
            make_image(opened, b"2", name="app:2")

    def names() -> list[str]:
        with Store.open(store) as opened:
            return [image.name.familiar() for image in listed(opened)]

    while_cut_off(pair, begin, give_another)
    assert pair.b.do(names) == pair.a.do(names) == ["app:1", "app:2"]


def test_a_removed_file_that_is_open_is_in_nobodys_way_and_goes_when_it_is_closed(pair: Pair, store: str) -> None:
    def hold(pause: Pause) -> None:
        with ExitStack() as files, Store.open(store) as opened:
            with opened.workspace() as work:
                files.enter_context(open(os.path.join(work, "file"), "w"))
            assert [name.startswith(".nfs") for name in os.listdir(work)] == [True]
            pause()

    holder = pair.a.begin(hold)

    def verify() -> tuple[bool, list[str]]:
        with Store.open(store) as opened:
            prune(opened, Wish(images=True))
            return verified(opened).is_clean, os.listdir(opened.workspaces)

    clean, left = pair.b.do(verify)
    assert clean
    assert len(left) > 1
    holder.result()
    assert_whole(pair, store)


def test_a_store_survives_random_kills(pair: Pair, store: str) -> None:
    chosen = random.Random(SEED)
    survivor = pair.b.start(lambda: churn(store, SEED))
    for _ in range(KILLS):
        seed = chosen.randrange(1 << 32)
        victim = pair.a.start(partial(churn, store, seed))
        victim.has_ended_within(chosen.uniform(0, _LONGEST_S))
        victim.kill()
    survivor.kill()
    assert_whole(pair, store)


OPTIONS = {"4.2": ["nocto"], "3": ["nolock", "nocto", "local_lock=flock"]}


def test_a_mount_that_hides_machines_from_each_other_is_refused(pair: Pair) -> None:
    for option in OPTIONS[pair.version]:
        apart = pair.b.mount(pair.version, "shared", option, "nosharecache")

        def opening(apart: Path = apart) -> tuple[str, str | None]:
            with pytest.raises(StoreError) as refused:
                Store.open(str(apart / "refused"))
            return refused.value.what, refused.value.hint

        what, hint = pair.b.do(opening)
        assert "machines that share it do not see each other's locks" in what
        assert "mount it without that option" in hint
        assert not pair.a.do((pair.directory / "refused").exists)


@pytest.mark.parametrize(
    ("name", "why"), [("squashed", "files that root makes there belong to user 65534"), ("closed", "Permission denied")]
)
def test_a_server_that_takes_root_for_nobody_is_told_before_a_build_begins(
    pair: Pair, tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    point = pair.a.mount(pair.version, name)

    def build() -> tuple[int, str]:
        done = fswatch_builder("build", "--store", str(point / "store"), str(tmp_path), check=False)
        return done.returncode, done.stderr

    status, told = pair.a.do(build)
    assert status == 10, told
    assert why in told
    assert "no_root_squash" in told
    assert "--store" in told
