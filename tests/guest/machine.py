"""A qemu with the host's root to read, a disk to write, and two serial lines: the console, and what the guest says."""

import fcntl
import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tests.guest.kernels import Kernel

Accelerator = Literal["kvm", "tcg"]

KVM_CREATE_VM = 0xAE01
"""linux/kvm.h"""

SCRATCH_BYTES = 8 << 30


class SilentError(Exception):
    """The guest said nothing for too long."""


def why_no_kvm() -> str | None:
    """Why this host cannot run a guest at the processor's own speed; None if it can make a virtual machine."""
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        try:
            os.close(fcntl.ioctl(device, KVM_CREATE_VM, 0))
        finally:
            os.close(device)
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    return None


def command(kernel: Kernel, accelerator: Accelerator, directory: Path) -> list[str]:
    """qemu's. ``directory`` has ``initramfs``, ``results`` and ``scratch``, and gets the console's log."""
    shares = []
    for tag, path, options in (("host", Path("/"), ",readonly=on,multidevs=remap"), ("results", directory, "")):
        shares += ["-fsdev", f"local,id={tag},path={path},security_model=none{options}"]
        shares += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    return [
        *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot"),
        *("-machine", "q35", "-accel", accelerator, "-cpu", "host" if accelerator == "kvm" else "max"),
        *("-smp", str(min(os.cpu_count() or 1, 4)), "-m", "3G"),
        *("-kernel", str(kernel.image), "-initrd", str(directory / "initramfs")),
        *("-append", "console=ttyS0 panic=-1 quiet no_timer_check"),
        *("-drive", f"file={directory / 'scratch'},format=raw,if=virtio,cache=unsafe"),
        *shares,
        *("-serial", f"file:{directory / 'console.log'}"),
        *("-chardev", "stdio,id=said,signal=off", "-serial", "chardev:said"),
    ]


def lines(command: list[str], complaints: Path, first_seconds: float, seconds: float) -> Iterator[bytes]:
    """What the guest says, to its end; qemu is gone then in any case. `SilentError` if it says nothing in time.

    ``complaints`` is the file for qemu's own messages.
    """
    said: queue.Queue[bytes | None] = queue.Queue()
    with (
        open(complaints, "wb") as errors,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as qemu,
    ):
        assert qemu.stdout is not None
        stream = qemu.stdout

        def read() -> None:
            for line in stream:
                said.put(line)
            said.put(None)

        reader = threading.Thread(target=read)
        reader.start()
        patience = first_seconds
        try:
            while True:
                try:
                    line = said.get(timeout=patience)
                except queue.Empty:
                    raise SilentError(f"the guest said nothing for {patience:.0f} s") from None
                if line is None:
                    return
                patience = seconds
                yield line
        finally:
            qemu.kill()
            reader.join()
