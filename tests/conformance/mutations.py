"""What a RUN may do to a root file system, one hazard a function. Each runs in processes of its own, inside the tree.

The tree it finds is made by :func:`populate`. ``python mutations.py NAME`` runs one in the present directory (``NAME
DESCRIPTOR DIRECTORY``: in a detached mount, shown there), and ends when all its processes have ended, as a RUN does.
More of them, by theme, are in the modules `mutations_of_…`.
"""

import ctypes
import mmap
import os
import shutil
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conformance import (
    mutations_of_calls,
    mutations_of_content,
    mutations_of_kinds,
    mutations_of_links,
    mutations_of_places,
)
from tests.conformance.tree import MUTATIONS, OLD, mutation, populate, run_to_the_end, write
from tests.support.system_calls import attach

__all__ = [
    "MUTATIONS",
    "OLD",
    "mutations_of_calls",
    "mutations_of_content",
    "mutations_of_kinds",
    "mutations_of_links",
    "mutations_of_places",
    "populate",
]


@mutation
def nothing() -> None:
    with open("etc/passwd") as file:
        file.read()


@mutation
def create_a_file() -> None:
    write("f", "hi\n")


@mutation
def rewrite_with_equal_bytes() -> None:
    write("etc/passwd", "content of etc/passwd\n")


@mutation
def rewrite_same_size_and_restore_mtime() -> None:
    write("etc/passwd", "CONTENT of etc/passwd\n")
    os.utime("etc/passwd", (OLD, OLD))


@mutation
def rewrite_equal_bytes_and_restore_mtime() -> None:
    write("etc/passwd", "content of etc/passwd\n")
    os.utime("etc/passwd", (OLD, OLD))


@mutation
def append() -> None:
    with open("usr/bin/tool", "a") as file:
        file.write("more\n")


@mutation
def truncate_by_path() -> None:
    os.truncate("usr/bin/tool", 3)


@mutation
def truncate_to_the_same_size() -> None:
    os.truncate("usr/bin/tool", os.stat("usr/bin/tool").st_size)


@mutation
def change_the_mode() -> None:
    os.chmod("usr/bin/tool", 0o4755)


@mutation
def change_the_mode_to_the_same() -> None:
    os.chmod("usr/bin/tool", os.stat("usr/bin/tool").st_mode & 0o7777)


@mutation
def change_the_owner() -> None:
    os.chown("usr/bin/tool", 12, 34)


@mutation
def touch_a_directory() -> None:
    os.utime("data/c", (OLD + 5, OLD + 5))


@mutation
def set_an_attribute() -> None:
    os.setxattr("usr/bin/tool", "user.note", b"hello")


@mutation
def set_a_directory_attribute() -> None:
    os.setxattr("data/c", "user.note", b"hello")


@mutation
def map_and_store() -> None:
    with open("usr/bin/tool", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:4] = b"MMAP"


@mutation
def map_and_read_and_store() -> None:
    """On tmpfs no stamp tells of the store: the page is mapped for writing since it was read."""
    with open("usr/bin/tool", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = mapped[0] ^ 1


@mutation
def remove_a_file() -> None:
    os.remove("data/c/two")


@mutation
def remove_a_tree() -> None:
    shutil.rmtree("usr/lib/deep")


@mutation
def create_and_remove() -> None:
    write("tmp/passing", "x")
    os.remove("tmp/passing")


@mutation
def make_a_deep_tree_at_once() -> None:
    os.makedirs("n/e/w/t/r/e/e")
    write("n/e/w/t/r/e/e/leaf", "x")


@mutation
def move_a_file() -> None:
    os.rename("data/c/two", "usr/bin/two")


@mutation
def move_and_move_back() -> None:
    os.rename("data/c/two", "usr/bin/two")
    os.rename("usr/bin/two", "data/c/two")


@mutation
def move_a_directory_and_write_in_it() -> None:
    os.rename("data/a", "var/moved")
    write("var/moved/b/one", "written after the move\n")
    write("var/moved/b/new", "new after the move\n")


@mutation
def move_a_directory_and_move_it_back() -> None:
    os.rename("data/a", "var/moved")
    write("var/moved/b/one", "written while away\n")
    os.rename("var/moved", "data/a")


@mutation
def move_a_directory_into_a_new_one() -> None:
    os.mkdir("new")
    os.rename("usr/lib", "new/lib")
    write("new/lib/deep/er/still/leaf", "far from home\n")


@mutation
def swap_two_files_of_equal_size() -> None:
    os.rename("wide/10", "tmp/x")
    shutil.copy2("wide/11", "wide/10")
    os.rename("tmp/x", "wide/11")


@mutation
def exchange_two_directories() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # renameat2(2), RENAME_EXCHANGE = 2, AT_FDCWD = -100
    assert libc.renameat2(-100, b"data/a", -100, b"usr/lib", 2) == 0
    write("data/a/deep/er/still/leaf", "exchanged\n")


@mutation
def remove_and_make_the_directory_anew() -> None:
    shutil.rmtree("data/a")
    os.makedirs("data/a/b")
    write("data/a/b/one", "another one\n")


@mutation
def replace_a_directory_by_a_file() -> None:
    shutil.rmtree("data/a")
    write("data/a", "a file now\n")


@mutation
def replace_a_directory_by_a_link() -> None:
    shutil.rmtree("data/a")
    os.symlink("c", "data/a")


@mutation
def replace_a_file_by_a_directory() -> None:
    os.remove("usr/bin/tool")
    os.makedirs("usr/bin/tool/inner")


@mutation
def replace_a_directory_by_a_link_and_back() -> None:
    os.rename("data/a", "tmp/a")
    os.symlink("/tmp/a", "data/a")
    write("data/../tmp/a/b/one", "through the back door\n")
    os.remove("data/a")
    os.rename("tmp/a", "data/a")


@mutation
def retarget_a_link() -> None:
    os.remove("etc/link")
    os.symlink("/etc/group", "etc/link")


@mutation
def touch_a_link() -> None:
    os.utime("etc/link", (OLD + 9, OLD + 9), follow_symlinks=False)


@mutation
def write_through_one_of_three_names() -> None:
    with open("usr/lib/linked", "a") as file:
        file.write("more\n")


@mutation
def write_through_a_name_and_remove_its_directory() -> None:
    with open("data/a/linked", "a") as file:
        file.write("more\n")
    shutil.rmtree("data/a")


@mutation
def write_through_a_name_and_make_its_directory_anew() -> None:
    with open("data/a/linked", "a") as file:
        file.write("more\n")
    shutil.rmtree("data/a")
    os.mkdir("data/a")


@mutation
def write_through_a_name_and_replace_its_directory_by_a_file() -> None:
    with open("data/a/linked", "a") as file:
        file.write("more\n")
    shutil.rmtree("data/a")
    write("data/a", "a file now\n")


@mutation
def write_through_a_name_and_move_a_directory_over_its_own() -> None:
    with open("data/a/linked", "a") as file:
        file.write("more\n")
    shutil.rmtree("data/a")
    os.rename("usr/lib/deep", "data/a")


@mutation
def write_through_a_name_in_a_moved_directory_and_remove_that() -> None:
    os.rename("data/a", "tmp/gone")
    with open("tmp/gone/linked", "a") as file:
        file.write("more\n")
    shutil.rmtree("tmp/gone")


@mutation
def write_through_a_name_and_swap_its_directory() -> None:
    with open("data/a/linked", "a") as file:
        file.write("more\n")
    os.rename("data/a", "tmp/x")
    os.rename("data/c", "data/a")
    os.rename("tmp/x", "data/c")
    os.remove("data/c/linked")


@mutation
def change_the_mode_through_one_name() -> None:
    os.chmod("data/a/linked", 0o600)


@mutation
def add_a_name() -> None:
    os.link("data/c/two", "var/two-too")


@mutation
def add_a_fourth_name() -> None:
    os.link("data/linked", "var/fourth")


@mutation
def remove_one_of_three_names() -> None:
    os.remove("data/linked")


@mutation
def remove_all_three_names() -> None:
    for path in ("data/linked", "data/a/linked", "usr/lib/linked"):
        os.remove(path)


@mutation
def split_a_pair_with_equal_bytes() -> None:
    shutil.copy2("data/pair", "data/tmp")
    os.rename("data/tmp", "data/pair")


@mutation
def join_two_groups() -> None:
    os.remove("data/pair")
    os.link("data/linked", "data/pair")


@mutation
def replace_a_name_by_force() -> None:
    os.link("data/pair", "data/tmp")
    os.rename("data/tmp", "data/c/two")


@mutation
def open_temporary_and_link() -> None:
    fd = os.open("data", os.O_TMPFILE | os.O_RDWR, 0o644)
    os.write(fd, b"born nameless\n")
    libc = ctypes.CDLL(None, use_errno=True)
    # linkat(2), AT_SYMLINK_FOLLOW = 0x400, AT_FDCWD = -100
    assert libc.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100, b"data/named", 0x400) == 0
    os.write(fd, b"written after\n")
    os.close(fd)


@mutation
def make_a_fifo() -> None:
    os.mkfifo("tmp/fifo")


@mutation
def non_utf8_and_long_names() -> None:
    with open(b"tmp/\xff\xfe odd\nname", "wb") as file:
        file.write(b"x")
    with open(b"tmp/" + b"l" * 255, "wb") as file:
        file.write(b"x")


@mutation
def a_sparse_file() -> None:
    with open("tmp/sparse", "wb") as file:
        file.seek(1 << 20)
        file.write(b"end")


@mutation
def write_after_unlinking_the_directory_entry() -> None:
    with open("data/c/two", "a") as file:
        os.rename("data/c/two", "var/elsewhere")
        file.write("by the old descriptor\n")


@mutation
def many_files() -> None:
    os.makedirs("many")
    for number in range(3000):
        write(f"many/{number}", str(number))


def pass_by(directory: str) -> None:
    """Thousands of names that are gone again, so that single hints are no longer kept, and a change among them."""
    for number in range(6000):
        if number == 3000:
            write(f"{directory}/stays", "among many\n")
        path = f"{directory}/passing{number}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.remove(path)


@mutation
def thousands_of_passing_names() -> None:
    os.rename("data/a/b/one", "data/a/b/renamed")
    pass_by("data/a")
    write("data/a/b/renamed", "below it\n")
    os.remove("data/a/linked")


@mutation
def thousands_of_passing_names_in_a_directory_that_moves() -> None:
    with open("data/a/linked", "a") as file:
        file.write("more\n")
    pass_by("data/a")
    os.rename("data/a", "var/moved")
    pass_by("var/moved")
    os.remove("var/moved/linked")


@mutation
def a_directory_300_levels_deep() -> None:
    # Longer than PATH_MAX: step by step.
    for _ in range(300):
        os.mkdir("deeply-nested-dir")
        os.chdir("deeply-nested-dir")
    write("bottom", "x")


@mutation
def names_around_the_slash() -> None:
    os.makedirs("data/a-b")
    write("data/a-b/x", "x")
    write("data/a.c", "x")
    write("data/a/y", "x")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        attach(int(sys.argv[2]), sys.argv[3])
        os.chdir(sys.argv[3])
    run_to_the_end(sys.argv[1])
