"""Executes a program with system calls refused by a seccomp filter, as a container's profile does.

python -m tests.support.refusing NUMBER=ERRNO... -- PROGRAM ARGUMENT...
"""

import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
"""linux/prctl.h, linux/seccomp.h"""

LOAD_WORD = 0x20
JUMP_IF_EQUAL = 0x15
RETURN = 0x06
"""linux/bpf_common.h: BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K"""

RET_ERRNO = 0x0005_0000
RET_ALLOW = 0x7FFF_0000

OPENAT2 = 437
CLOSE_RANGE = 436
FSOPEN = 430
MOUNT_SETATTR = 442
"""From 424 on, the numbers are the same on every architecture."""


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse(calls: dict[int, int]) -> None:
    """From now on, in this process and all it becomes, each call (by number) fails with its errno."""
    instructions = [(LOAD_WORD, 0, 0, 0)]  # the number is the first field of struct seccomp_data
    for number, error in calls.items():
        instructions += [(JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, RET_ERRNO | error)]
    instructions.append((RETURN, 0, 0, RET_ALLOW))
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(instructions), code)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))):
        if libc.prctl(*arguments, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    end = sys.argv.index("--")
    refuse({int(number): int(error) for number, error in (word.split("=") for word in sys.argv[1:end])})
    os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])
