"""kill -9 at any moment leaves a store that verifies, and costs those beside it nothing.

25 kills here; ``make test-kills`` does 200, KILLS=N as many as you like, SEED=N others.
"""

import functools
import itertools
import os
import random
import select
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator

import pytest

from fswatch_builder import _native
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci import state, workspace
from fswatch_builder.oci.keeping import sessions
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.keeping.prune import Wish, prune
from fswatch_builder.oci.keeping.untag import untag
from fswatch_builder.oci.store import Store
from tests.support.store_churn import check, churn, make_thing
from tests.support.stores import NOON, make_image, make_layer

#: Where nothing waits for a disk: whether something is synced makes no difference to a kill.
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
KILLS = int(os.environ.get("KILLS", "25"))
SEED = int(os.environ.get("SEED", "1"))
_LONGEST_S = 0.2


class Victim:
    """Another process, and what went wrong in it before it was killed."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._told, telling = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                action()
            except BaseException:  # noqa: BLE001 - told, and looked at there
                os.write(telling, traceback.format_exc().encode())
            finally:
                os._exit(1)
        os.close(telling)

    def wait(self, seconds: float) -> None:
        """Until it has ended, or so long."""
        select.select([self._told], [], [], seconds)

    def kill(self) -> int:
        """Its wait status; what it told is an error. Nothing, if that was done before."""
        if self._told < 0:
            return 0
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        with open(self._told, encoding="utf-8") as told:
            self._told = -1
            assert told.read() == ""
        return status


@pytest.fixture
def place() -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=_MEMORY) as directory:
        yield directory


@pytest.mark.parametrize("local", [True, False], ids=["one machine", "shared"])
def test_a_store_survives_random_kills(place: str, monkeypatch: pytest.MonkeyPatch, local: bool) -> None:
    """Where machines share the file system, the database has another journal."""
    for module in (state, sessions, workspace):
        monkeypatch.setattr(module, "is_local", lambda _: local)
    directory = place
    chosen = random.Random(SEED)
    survivor = Victim(functools.partial(churn, directory, SEED))
    try:
        for kill in range(KILLS // 2 + 1):
            seed = chosen.randrange(1 << 32)
            victim = Victim(functools.partial(churn, directory, seed))
            victim.wait(chosen.uniform(0, _LONGEST_S))
            assert os.WIFSIGNALED(victim.kill()), f"kill {kill}, seed {seed}: it had ended by itself"
            if kill % 5 == 4:
                survivor.kill()
                check(directory)
                survivor = Victim(functools.partial(churn, directory, seed + 1))
    finally:
        survivor.kill()
    check(directory)


def _life(directory: str) -> None:
    """All that is ever done to a store, once."""
    with Store.open(directory) as store:
        make_image(store, b"1", b"2", name="app:1")
        make_image(store, b"1", b"3", name="app:2")
        store.memory.record_step(Digest.of(b"step"), make_layer(store, b"4"), NOON)
        with store.kept.use(Kind.TREE, Digest.of(b"key")):
            make_thing(store, Kind.TREE, Digest.of(b"key"))
            store.kept.discard(Kind.TREE, Digest.of(b"key"))
    with Store.open(directory) as store:
        entries = store.names.entries()[:1]
        untag(store, entries, {entry.digest for entry in entries})
        prune(store, Wish())
        prune(store, Wish(images=True))


#: What changes something on the disk, sqlite's own writes aside.
_CALLS = ("rename", "replace", "unlink", "fsync", "mkdir", "rmdir")


def _killed_at(number: int, directory: str) -> None:
    """Kills itself in place of the call of this number, counted from 0."""
    left = number

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return real(*arguments, **named)

        return call

    for name in _CALLS:
        setattr(os, name, dying(getattr(os, name)))
    _life(directory)


def test_a_kill_before_each_change_on_the_disk(place: str) -> None:
    for number in itertools.count():
        directory = os.path.join(place, str(number))
        victim = Victim(functools.partial(_killed_at, number, directory))
        os.waitid(os.P_PID, victim.pid, os.WEXITED | os.WNOWAIT)
        if not os.WIFSIGNALED(victim.kill()):
            break
        check(directory)
        _native.remove_tree(os.fsencode(directory))
    assert number > 60, "the life of a store has more changes than that"
