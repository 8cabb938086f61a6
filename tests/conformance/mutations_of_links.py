"""Several names of one inode."""

import os

from tests.conformance.tree import OLD, mutation, write
from tests.support.system_calls import RENAME_EXCHANGE, renameat2


def append(path: str) -> None:
    with open(path, "a") as file:
        file.write("more\n")


@mutation
def link_by_force() -> None:
    """ln -f: the name is taken away, then made anew."""
    os.remove("data/c/two")
    os.link("data/linked", "data/c/two")


@mutation
def link_by_force_and_write() -> None:
    os.remove("data/pair-too")
    os.link("data/c/two", "data/pair-too")
    append("data/pair-too")


@mutation
def rename_a_link_over_one_of_another_group() -> None:
    os.rename("data/a/linked", "data/pair")


@mutation
def rename_onto_another_name_of_itself() -> None:
    """rename(2): old and new are links to one file, so nothing is done."""
    os.rename("data/linked", "data/a/linked")


@mutation
def exchange_names_of_two_groups() -> None:
    renameat2("data/linked", "data/pair", RENAME_EXCHANGE)
    append("data/pair")


@mutation
def exchange_names_of_one_group() -> None:
    renameat2("data/linked", "usr/lib/linked", RENAME_EXCHANGE)


@mutation
def move_a_name_and_write_through_it() -> None:
    os.mkdir("new")
    os.rename("usr/lib/linked", "new/linked")
    append("new/linked")


@mutation
def write_through_the_second_name_and_remove_the_first() -> None:
    append("data/pair-too")
    os.remove("data/pair")


@mutation
def write_through_a_name_that_another_file_takes() -> None:
    append("data/pair-too")
    write("tmp/x", "another file\n")
    os.rename("tmp/x", "data/pair-too")


@mutation
def set_an_attribute_through_a_name_and_remove_it() -> None:
    os.setxattr("data/a/linked", "user.note", b"x")
    os.remove("data/a/linked")


@mutation
def a_hundred_names_and_a_write_through_the_last() -> None:
    for number in range(100):
        os.link("data/c/two", f"var/lib/{number}")
    append("var/lib/99")


@mutation
def link_a_link() -> None:
    os.link("etc/link", "var/link-too", follow_symlinks=False)


@mutation
def link_a_fifo() -> None:
    os.mkfifo("tmp/fifo")
    os.link("tmp/fifo", "var/fifo-too")


@mutation
def split_a_group_of_three_in_two() -> None:
    """One keeps the inode, two share a new one."""
    os.remove("data/a/linked")
    os.remove("usr/lib/linked")
    write("data/a/linked", "three names\n")
    os.utime("data/a/linked", (OLD, OLD))
    os.link("data/a/linked", "usr/lib/linked")


@mutation
def pass_a_name_on() -> None:
    """The inode stays, no name of it does."""
    os.link("data/pair", "var/heir")
    os.remove("data/pair")
    os.remove("data/pair-too")
    append("var/heir")


@mutation
def add_and_remove_a_name() -> None:
    os.link("data/c/two", "data/c/passing")
    os.remove("data/c/passing")
    os.utime("data/c", (OLD, OLD))
