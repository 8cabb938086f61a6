"""``--ulimit``: limits of setrlimit(2) by the names that Docker gives them."""

import resource
from typing import Final

from fswatch_builder.model.sandbox import Ulimit

#: Names to RLIMIT_ numbers (getrlimit(2)).
NUMBERS: Final = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "locks": 10,  # RLIMIT_LOCKS: the module has no name for it
    "memlock": resource.RLIMIT_MEMLOCK,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "nice": resource.RLIMIT_NICE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rss": resource.RLIMIT_RSS,
    "rtprio": resource.RLIMIT_RTPRIO,
    "rttime": resource.RLIMIT_RTTIME,
    "sigpending": resource.RLIMIT_SIGPENDING,
    "stack": resource.RLIMIT_STACK,
}

_INFINITY: Final = 2**64 - 1  # RLIM64_INFINITY


def for_kernel(limit: Ulimit) -> tuple[int, int, int]:
    """Its number, soft and hard value."""
    soft, hard = (_INFINITY if value is None else value for value in (limit.soft, limit.hard))
    return NUMBERS[limit.name], soft, hard
