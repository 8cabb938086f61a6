"""Programs of other machines: run by the processor itself, or by an emulator that the kernel starts.

The kernel starts an emulator such as qemu-user for what is registered in binfmt_misc (Documentation/admin-guide/
binfmt-misc.rst). With the flag F it opened the emulator when that was registered, so that it is found in a root file
system that has none. Where the machine has nothing registered, but an emulator is installed, it is registered for our
RUNs alone, in a user namespace of theirs (Linux 6.7). Nothing is ever registered for others.

What is true here is asked by running a program: one of the platform, which does nothing but end, in a root file system
with nothing else in it, in the sandbox of a RUN.
"""

import os
import shutil
import struct
from typing import Final, Literal

from msgspec import Struct

from fswatch_builder._native import Emulators, Rootfs
from fswatch_builder.errors import SandboxError
from fswatch_builder.model.platform import Platform
from fswatch_builder.runtime.run import Command, run

_PROGRAM: Final = "program"
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127  # as a shell has it


class _Machine(Struct, frozen=True):
    """How a program for it looks: class and byte order of its ELF file, its number there (elf.h), the flags of its ABI,
    and the code of ``exit(0)``; and what qemu calls the machine.
    """

    qemu: str
    bits: Literal[32, 64]
    order: Literal["<", ">"]
    number: int
    flags: int
    code: str  # hexadecimal


#: By Go's names. The numbers of the calls are those of Linux: asm/unistd.h of each.
_MACHINES: Final = {
    "386": _Machine("i386", 32, "<", 3, 0, "b801000000 31db cd80"),
    "amd64": _Machine("x86_64", 64, "<", 62, 0, "b83c000000 31ff 0f05"),
    "arm": _Machine("arm", 32, "<", 40, 0x05000000, "0170a0e3 0000a0e3 000000ef"),
    "arm64": _Machine("aarch64", 64, "<", 183, 0, "a80b80d2 000080d2 010000d4"),
    "loong64": _Machine("loongarch64", 64, "<", 258, 0x41, "0b748102 04008002 00002b00"),
    "mips": _Machine("mips", 32, ">", 8, 0x50001000, "24020fa1 00002021 0000000c"),
    "mipsle": _Machine("mipsel", 32, "<", 8, 0x50001000, "a10f0224 21200000 0c000000"),
    "mips64": _Machine("mips64", 64, ">", 8, 0x60000000, "240213c2 00002021 0000000c"),
    "mips64le": _Machine("mips64el", 64, "<", 8, 0x60000000, "c2130224 21200000 0c000000"),
    "ppc64": _Machine("ppc64", 64, ">", 21, 2, "38000001 38600000 44000002"),
    "ppc64le": _Machine("ppc64le", 64, "<", 21, 2, "01000038 00006038 02000044"),
    "riscv64": _Machine("riscv64", 64, "<", 243, 0, "9308d005 13050000 73000000"),
    "s390x": _Machine("s390x", 64, ">", 22, 0, "a7290000 0a01"),
}


def program(architecture: str) -> bytes | None:
    """The ELF file of a program that ends at once with status 0; None for an architecture that is not known."""
    machine = _MACHINES.get(architecture)
    return None if machine is None else _elf(machine)


def _elf(machine: _Machine) -> bytes:
    """One segment, loaded from the start of the file: both headers, then the code (elf(5))."""
    code = bytes.fromhex(machine.code)
    word = "Q" if machine.bits == 64 else "I"
    header, segment = (64, 56) if machine.bits == 64 else (52, 32)
    base = 0x10000
    start = header + segment
    size = start + len(code)
    identity = b"\x7fELF" + bytes([machine.bits // 32, 1 if machine.order == "<" else 2, 1, 0]) + bytes(8)
    head = struct.pack(
        f"{machine.order}HHI{word * 3}IHHHHHH",
        *(2, machine.number, 1, base + start, header, 0, machine.flags, header, segment, 1, 0, 0, 0),
    )
    readable, executable = 4, 1
    flags, page = readable | executable, 0x10000
    place = (0, base, base, size, size)
    if machine.bits == 64:
        described = struct.pack(f"{machine.order}II{word * 6}", 1, flags, *place, page)
    else:
        described = struct.pack(f"{machine.order}I{word * 5}II", 1, *place, flags, page)
    return identity + head + described + code


def registration(architecture: str, interpreter: str, *, flags: str = "CPF") -> bytes:
    """What is written to ``register`` of a binfmt_misc: a program is told by its ELF header, with the machine in it.

    The flags: set-user-ID programs have the rights of their owner, as without an emulator (C); a program learns what it
    was called by (P; qemu from version 6 on); the emulator is opened now (F).

    Of the first bytes class, byte order and version count; the kind may be that of a shared object, as a
    position-independent program is one.
    """
    content = program(architecture)
    if content is None:
        raise ValueError(f"unknown architecture: {architecture}")
    little = _MACHINES[architecture].order == "<"
    mask = bytes([0xFF] * 7 + [0] * 9 + ([0xFE, 0xFF] if little else [0xFF, 0xFE]) + [0xFF, 0xFF])
    magic, masked = ("".join(f"\\x{byte:02x}" for byte in part) for part in (content[: len(mask)], mask))
    return b":%b:M::%b:%b:%b:%b" % (
        architecture.encode(),
        magic.encode(),
        masked.encode(),
        os.fsencode(interpreter),
        flags.encode(),
    )


class Emulation(Struct, frozen=True):
    """An emulator that is registered for our RUNs alone, and where it is."""

    emulators: Emulators
    path: str


def prepare(platform: Platform, directory: str) -> Emulation | None:
    """What it takes to do a RUN for ``platform`` here; None: nothing, the kernel does it by itself. Raises a
    SandboxError with cause and cure where it cannot be done.

    ``directory`` is a private one, where root file systems are made: whether a program can be executed goes by the file
    system too.
    """
    if is_native(platform):
        return None
    told = f"a RUN for {platform} cannot be executed here, on {Platform.host()}"
    content = program(platform.architecture) if platform.os == "linux" else None
    if content is None:
        raise SandboxError(told, hint="only programs for Linux can, of architectures that qemu-user has")
    outcome = _tried(content, os.path.join(directory, "as it is"), None)
    if outcome == 0:
        return None
    path = _installed(platform.architecture)
    if path is None:
        raise _refused(told, outcome)
    try:
        emulators = Emulators([registration(platform.architecture, path)])
    except OSError as error:
        raise SandboxError(
            f"{told}: {path} cannot be registered for its RUNs alone: {error.strerror}",
            hint="that takes Linux 6.7 and user namespaces; else it has to be registered for all of the machine: "
            "apt install binfmt-support",
        ) from error
    outcome = _tried(content, os.path.join(directory, "emulated"), emulators)
    if outcome == 0:
        return Emulation(emulators, path)
    raise SandboxError(
        f"{told}: with {path} a program that ends with status 0 ends with {outcome}",
        hint="an emulator has to be statically linked: apt install qemu-user-static",
    )


def _refused(told: str, outcome: int) -> SandboxError:
    if outcome == _NOT_FOUND:
        return SandboxError(
            f"{told}: the emulator that is registered for it is not opened before a root file system is entered, which "
            "has none",
            hint="register it with the flag F (fix-binary), as the package qemu-user-static does",
        )
    if outcome == _NOT_EXECUTABLE:
        return SandboxError(
            f"{told}: there is no emulator for it",
            hint="apt install qemu-user-static; or let its stage run here, with FROM --platform=$BUILDPLATFORM, and "
            "compile for $TARGETARCH (docs/cli.md)",
        )
    return SandboxError(
        f"{told}: its emulator ends with status {outcome} where a program ends with 0", hint="is it the right one?"
    )


def _installed(architecture: str) -> str | None:
    """A statically linked one has that in its name, or the package has no other."""
    name = f"qemu-{_MACHINES[architecture].qemu}"
    return shutil.which(f"{name}-static") or shutil.which(name)


def is_native(platform: Platform) -> bool:
    """Whether its programs are this machine's own. Of older and newer variants that is taken for granted: the processor
    says so itself, if it comes to that.
    """
    here = Platform.host()
    return (platform.os, platform.architecture) == (here.os, here.architecture)


class _Unheard:
    def write(self, stream: str, data: bytes) -> None:
        pass


def _tried(content: bytes, root: str, emulators: Emulators | None) -> int:
    os.mkdir(root, 0o755)
    path = os.path.join(root, _PROGRAM)
    with open(path, "xb") as file:
        file.write(content)
    os.chmod(path, 0o755)  # noqa: S103 - it is to be executed
    command = Command((f"/{_PROGRAM}",), (), "/", network="none", emulators=emulators)
    return run(Rootfs(os.fsencode(root)), command, _Unheard()).exit_code
