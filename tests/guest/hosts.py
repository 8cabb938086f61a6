"""Machines that share a file system over NFS, as far as NFS and the store can tell, in one guest: a file server and its
clients, each with a network, mounts, a name, an id of its boot, and daemons of its own.

Only for a guest that is thrown away: the kernel's NFS server is started, and is not stopped again.
"""

import ctypes
import os
import pickle
import select
import signal
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWUTS: Final = 0x04000000
_CLONE_NEWNET: Final = 0x40000000

Version = Literal["4.2", "3"]
Pause = Callable[[], None]

SERVER_ADDRESS: Final = "10.9.0.1"
#: Seconds. The least that the server takes (fs/nfsd/nfsctl.c, __nfsd4_write_time).
LEASE_S: Final = 10

#: What /run and /var/lib/nfs hold of the daemons is each machine's own; files of tests stay in view.
_PRIVATE: Final = """
mount --bind /run/tests /mnt
mount -t tmpfs tmpfs /run
mkdir /run/tests /run/results
mount --move /mnt /run/tests
mount -t tmpfs tmpfs /var/lib/nfs
mkdir /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs/v4recovery /var/lib/nfs/rpc_pipefs
touch /var/lib/nfs/state /var/lib/nfs/etab /var/lib/nfs/rmtab
ip link set lo up
rpcbind -w
"""

_SERVE: Final = f"""
ip link add bridge type bridge
ip addr add {SERVER_ADDRESS}/24 dev bridge
ip link set bridge up
mount -t nfsd nfsd /proc/fs/nfsd
mount -t tmpfs tmpfs /srv
exportfs -o ro,fsid=0,no_subtree_check '*:/srv'
rpc.statd
rpc.mountd
rpc.nfsd --grace-time {LEASE_S} --lease-time {LEASE_S} 4
"""


class Process:
    """A process of a machine that does one thing. It has the modules and values of this one: nothing is imported."""

    def __init__(self, namespaces: int, action: Callable[[Pause], object]) -> None:
        """``namespaces`` is a process whose network, mounts and name it has. When ``action`` calls what it is given, it
        waits there until somebody wants its ``result``.
        """
        self._told, telling = os.pipe()
        self._paused, pausing = os.pipe()
        going, self._going = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for ours in (self._told, self._paused, self._going):
                os.close(ours)

            def pause() -> None:
                os.write(pausing, b"x")
                os.read(going, 1)

            try:
                try:
                    _enter(namespaces)
                    answer = pickle.dumps((action(pause), None))
                except BaseException:  # noqa: BLE001 - raised there
                    answer = pickle.dumps((None, traceback.format_exc()))
                with open(telling, "wb") as pipe:
                    pipe.write(answer)
            finally:
                os._exit(0)
        for theirs in (telling, pausing, going):
            os.close(theirs)

    def has_ended_within(self, seconds: float) -> bool:
        """Waits that long at most."""
        return bool(select.select([self._told], [], [], seconds)[0])

    def until_it_pauses(self) -> "Process":
        """Itself. An AssertionError, if it ends before."""
        if os.read(self._paused, 1) != b"x":
            raise AssertionError(f"it has ended: {self.result()}")
        return self

    def result(self) -> Any:
        """What it returns, at its end. What it raises is an AssertionError."""
        answer = self._end()
        assert answer, "it was killed"
        value, error = pickle.loads(answer)
        assert error is None, error
        return value

    def kill(self) -> None:
        """kill -9. An AssertionError, if it had ended by itself."""
        os.kill(self.pid, signal.SIGKILL)
        answer = self._end()
        assert not answer, pickle.loads(answer)

    def _end(self) -> bytes:
        with suppress(BrokenPipeError):
            os.write(self._going, b"x")
        with open(self._told, "rb") as pipe:
            answer = pipe.read()
        for ours in (self._paused, self._going):
            os.close(ours)
        os.waitpid(self.pid, 0)
        return answer


class Machine:
    """A process that does nothing, and holds namespaces."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Its end is ours: it reads what nobody writes.
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--propagation", "private", "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.write(b"\n")
        self._holder.stdin.flush()
        assert self._holder.stdout.readline() == b"\n"
        self.namespaces = self._holder.pid
        self.shell(f"hostname {name}\nmount -t sysfs sysfs /sys\n{_PRIVATE}")

    def end(self) -> None:
        """Its daemons go on, to the end of the guest."""
        self._holder.communicate()

    def start(self, action: Callable[[], object]) -> Process:
        """A process of this machine that does ``action``."""
        return Process(self.namespaces, lambda _: action())

    def begin(self, action: Callable[[Pause], object]) -> Process:
        """As ``start``, once it pauses."""
        return Process(self.namespaces, action).until_it_pauses()

    def do(self, action: Callable[[], object]) -> Any:
        """What ``action`` returns there. What it raises is an AssertionError."""
        return self.start(action).result()

    def shell(self, script: str) -> str:
        """What a script prints there; an AssertionError if one of its commands fails."""

        def run() -> str:
            done = subprocess.run(
                ["sh", "-euxc", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
            return done.stdout

        return str(self.do(run))


class Server(Machine):
    """The file server: Linux's own, for all versions at once."""

    def __init__(self) -> None:
        super().__init__("server")
        self._exports = 0
        self.shell(_SERVE)

    def export(self, directory: Path, *options: str) -> str:
        """Lets every client mount it, as ``options`` of exports(5) say: by which name."""
        # NFS 4 shows one tree of all exports: below a root that can be exported (an overlay cannot), at mount points.
        self._exports += 1
        name = directory.name
        shown = ",".join(("rw", "no_subtree_check", f"fsid={self._exports}", *options))
        self.shell(f"mkdir /srv/{name}\nmount --bind {directory} /srv/{name}\nexportfs -o {shown} '*:/srv/{name}'")
        return name

    def connect(self, number: int, client: Machine) -> None:
        """Draws a line to a client, which gets an address."""
        subprocess.run(
            [
                *("ip", "link", "add", client.name, "netns", str(self.namespaces), "type", "veth"),
                *("peer", "name", "server", "netns", str(client.namespaces)),
            ],
            check=True,
        )
        self.shell(f"ip link set {client.name} master bridge up")
        client.shell(f"ip addr add 10.9.0.{number}/24 dev server\nip link set server up")

    @contextmanager
    def cut_off(self, client: Machine) -> Iterator[None]:
        """No packet gets through in the block."""
        self.shell(f"ip link set {client.name} down")
        try:
            yield
        finally:
            self.shell(f"ip link set {client.name} up")

    def clients(self) -> dict[str, str]:
        """What the server says of each client of NFS 4, by the client's address."""
        told = {}
        for info in self.shell("cat /proc/fs/nfsd/clients/*/info").split("clientid:")[1:]:
            address = info.split('address: "')[1].split(":")[0]
            told[address] = "clientid:" + info
        return told

    def until_silent(self, client: "Client") -> None:
        """Waits until its lease is over: until the server says so of it, or has forgotten it."""
        while "status: confirmed" in self.clients().get(client.address, ""):
            pass

    def with_locks(self) -> list[str]:
        """The addresses of clients of NFS 3 that have, or had, locks."""
        return sorted(self.shell("ls /var/lib/nfs/sm").split())


class Client(Machine):
    """A machine that mounts what the server exports."""

    def __init__(self, server: Server, number: int, boots: Path) -> None:
        """``number`` is the last of its address; below ``boots`` lies what it takes for its kernel's id."""
        super().__init__(f"host{number}")
        self.address = f"10.9.0.{number}"
        boot = boots / self.name
        boot.write_text(Path("/proc/sys/kernel/random/uuid").read_text())
        self.shell(
            f"mount --bind {boot} /proc/sys/kernel/random/boot_id\n"
            f"modprobe nfs\necho {self.name} > /sys/fs/nfs/net/nfs_client/identifier"
        )
        server.connect(number, self)

    def mount(self, version: Version, name: str, *options: str) -> Path:
        """Where what the server exports as ``name`` is from now on."""
        point = Path("/run", "-".join([name, version, *options]))
        shown = ",".join((f"vers={version}", "hard", "proto=tcp", *options))
        source = f"/srv/{name}" if version == "3" else f"/{name}"
        self.shell(f"mkdir {point}\nmount -t nfs -o {shown} {SERVER_ADDRESS}:{source} {point}")
        return point


def _enter(process: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.pidfd_open(process)
    if libc.setns(descriptor, _CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.close(descriptor)
