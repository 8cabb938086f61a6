"""Entries that change places, long ways, and mounts that only the RUN sees."""

import os
import shutil

from tests.conformance.tree import OLD, Impossible, mutation, write
from tests.support.system_calls import RENAME_EXCHANGE, bind_mount, mount_tmpfs, own_mounts, renameat2


@mutation
def rename_in_case_only() -> None:
    os.rename("etc/passwd", "etc/PASSWD")
    os.rename("usr/lib", "usr/Lib")
    write("usr/Lib/deep/new", "x")


@mutation
def exchange_two_files_of_equal_size() -> None:
    renameat2("data/left", "data/right", RENAME_EXCHANGE)


@mutation
def exchange_a_file_and_a_directory() -> None:
    renameat2("etc/passwd", "data/a", RENAME_EXCHANGE)
    write("etc/passwd/b/one", "exchanged\n")


@mutation
def exchange_twice() -> None:
    for _ in range(2):
        renameat2("data/left", "data/a", RENAME_EXCHANGE)
    os.utime("data", (OLD, OLD))


@mutation
def move_a_directory_over_an_empty_one() -> None:
    os.mkdir("var/empty")
    os.rename("data/a", "var/empty")


@mutation
def move_a_directory_up_and_remove_what_it_lay_in() -> None:
    os.rename("usr/lib/deep/er", "er")
    shutil.rmtree("usr/lib")
    write("er/still/leaf", "saved\n")


@mutation
def three_directories_move_on_in_a_ring() -> None:
    os.rename("data/a", "tmp/x")
    os.rename("data/c", "data/a")
    os.rename("var/lib", "data/c")
    os.rename("tmp/x", "var/lib")
    write("var/lib/b/one", "moved on\n")


@mutation
def move_away_and_back_and_restore_all_times() -> None:
    os.rename("data/a", "tmp/a")
    os.rename("tmp/a", "data/a")
    for path in ("tmp", "data"):
        os.utime(path, (OLD, OLD))


@mutation
def create_and_remove_and_restore_all_times() -> None:
    os.makedirs("tmp/passing/by")
    write("tmp/passing/by/f", "x")
    shutil.rmtree("tmp/passing")
    os.utime("tmp", (OLD, OLD))


@mutation
def a_path_of_4095_bytes() -> None:
    """As long as a system call takes: PATH_MAX counts the zero at the end."""
    here = os.getcwdb()
    parts = [b"p" * 255] * 15
    rest = 4095 - len(here) - 1 - sum(len(part) + 1 for part in parts)
    for part in parts:
        os.mkdir(part)
        os.chdir(part)
    name = b"f" * min(rest, 255)
    with open(name, "wb") as file:
        file.write(b"x")
    os.chdir(here)
    whole = b"/".join([here, *parts, name])
    assert len(whole) <= 4095
    os.chmod(whole, 0o600)


@mutation
def write_at_the_bottom_of_300_levels_and_move_them() -> None:
    here = os.getcwd()
    for number in range(300):
        os.mkdir(f"level-{number}")
        os.chdir(f"level-{number}")
    write("bottom", "x")
    os.chdir(here)
    os.rename("level-0", "var/sunk")


def mounting() -> None:
    try:
        own_mounts()
    except OSError as error:
        raise Impossible(f"no user namespace can be made here: {error.strerror}") from error


@mutation
def write_through_a_bind_mount_that_only_the_run_sees() -> None:
    mounting()
    bind_mount("data/a", "data/c")
    write("data/c/b/one", "written at data/a\n")
    write("data/c/new", "made at data/a\n")


@mutation
def write_below_a_mount_that_only_the_run_sees() -> None:
    """No change: what the mount covers is as it was."""
    mounting()
    mount_tmpfs("data/a")
    os.makedirs("data/a/b")
    write("data/a/b/one", "gone with the mount\n")


@mutation
def move_a_directory_that_the_run_mounted_over() -> None:
    mounting()
    bind_mount("usr/lib", "data/c")
    os.rename("data/a", "data/moved")
    write("data/c/deep/er/still/leaf", "through the mount\n")
