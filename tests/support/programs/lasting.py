"""What a process holds from one operation to the next, and may die with: descriptors, mappings, directories."""

import ctypes
import mmap
import os
import socket

from tests.support.programs.actor import Actor, Operation, action, checked, chosen, libc, opened

libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_FAILED = ctypes.c_void_p(-1).value
_SYNCHRONOUS = 4  # MS_SYNC


@action
def hold(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    actor.held.append((path, os.open(path, os.O_RDWR)))
    actor.say(f"exec {{fd}}<> {path!r}")


@action
def write_to_held(actor: Actor, take: Operation) -> None:
    path, file = chosen(actor.held, take.one)
    os.pwrite(file, bytes([take.number]) * (1 + take.other % 3), take.other % 4)
    actor.say(f"write {take.number}s to what was {path!r}")


@action
def truncate_held(actor: Actor, take: Operation) -> None:
    path, file = chosen(actor.held, take.one)
    os.ftruncate(file, take.number)
    actor.say(f"ftruncate to {take.number} what was {path!r}")


@action
def change_mode_of_held(actor: Actor, take: Operation) -> None:
    path, file = chosen(actor.held, take.one)
    os.fchmod(file, 0o600 | take.number)
    actor.say(f"fchmod {0o600 | take.number:o} what was {path!r}")


@action
def restore_times_of_held(actor: Actor, take: Operation) -> None:
    path, file = chosen(actor.held, take.one)
    times = os.fstat(file)
    os.pwrite(file, bytes([take.number]), 0)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    actor.say(f"write {take.number} to what was {path!r}, time kept")


@action
def release(actor: Actor, take: Operation) -> None:
    path, file = actor.held.pop(take.one % len(actor.held)) if actor.held else chosen(actor.held, 0)
    os.close(file)
    actor.say(f"close what was {path!r}")


@action
def unlink_and_go_on_writing(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    file = os.open(path, os.O_RDWR)
    actor.held.append((path, file))
    os.unlink(path)
    os.write(file, b"unseen")
    actor.say(f"exec {{fd}}<> {path!r}; rm {path!r}; echo -n unseen >&$fd")


@action
def rename_and_write_by_descriptor(actor: Actor, take: Operation) -> None:
    path, target = actor.file(take.one), actor.place(take.other, take.new_name)
    with opened(path, os.O_WRONLY | os.O_APPEND) as file:
        os.rename(path, target)
        os.write(file, b"d" * take.number)
    actor.say(f"open {path!r}, mv it to {target!r}, write {take.number}")


@action
def map_and_hold(actor: Actor, take: Operation) -> None:
    """The descriptor is closed; the mapping has no event until it goes, at the latest with the process.

    (Python's own mapping would keep a descriptor.)
    """
    path = actor.file(take.one)
    if os.stat(path).st_size == 0:
        return
    with opened(path, os.O_RDWR) as file:
        address = libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, file, 0)
    checked(-1 if address == _FAILED else 0)
    actor.mappings.append((path, address))
    actor.say(f"map {path!r} and hold it")


@action
def store_in_held_mapping(actor: Actor, take: Operation) -> None:
    """SIGBUS if the file was emptied meanwhile: the process dies of it."""
    path, address = chosen(actor.mappings, take.one)
    ctypes.memset(address, take.number, 1)
    if take.other % 3 == 0:
        checked(libc.msync(ctypes.c_void_p(address), mmap.PAGESIZE, _SYNCHRONOUS))
    actor.say(f"store {take.number} in the mapping of what was {path!r}, msync={take.other % 3 == 0}")


@action
def unmap(actor: Actor, take: Operation) -> None:
    path, address = chosen(actor.mappings, take.one)
    actor.mappings.remove((path, address))
    checked(libc.munmap(ctypes.c_void_p(address), mmap.PAGESIZE))
    actor.say(f"unmap what was {path!r}")


@action
def hold_directory(actor: Actor, take: Operation) -> None:
    path = actor.directory(take.one)
    actor.held_directories.append((path, os.open(path, os.O_RDONLY | os.O_DIRECTORY)))
    actor.say(f"opendir {path!r}")


@action
def create_below_held_directory(actor: Actor, take: Operation) -> None:
    path, directory = chosen(actor.held_directories, take.one)
    os.close(os.open(take.new_name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644, dir_fd=directory))
    actor.say(f"openat what was {path!r}: create {take.new_name!r}")


@action
def write_below_held_directory(actor: Actor, take: Operation) -> None:
    path, directory = chosen(actor.held_directories, take.one)
    name = chosen(sorted(os.listdir(directory)), take.other)
    file = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    try:
        os.write(file, b"b")
    finally:
        os.close(file)
    actor.say(f"openat what was {path!r}: echo -n b >> {name!r}")


@action
def rename_below_held_directory(actor: Actor, take: Operation) -> None:
    path, directory = chosen(actor.held_directories, take.one)
    name = chosen(sorted(os.listdir(directory)), take.other)
    os.rename(name, take.new_name, src_dir_fd=directory, dst_dir_fd=directory)
    actor.say(f"renameat what was {path!r}: mv {name!r} {take.new_name!r}")


@action
def change_directory(actor: Actor, take: Operation) -> None:
    path = actor.directory(take.one)
    os.chdir(path)
    actor.say(f"cd {path!r}")


@action
def hand_over(actor: Actor, take: Operation) -> None:
    path, file = chosen(actor.held, take.one)
    socket.send_fds(actor.mailbox[0], [os.fsencode(path)], [file])
    actor.say(f"pass on the descriptor of what was {path!r}")


@action
def take_over(actor: Actor, take: Operation) -> None:
    path, files, _, _ = socket.recv_fds(actor.mailbox[1], 4096, 1)
    actor.held += [(os.fsdecode(path), file) for file in files]
    for file in files:
        os.pwrite(file, bytes([take.number]), 0)
    actor.say(f"write {take.number} to a descriptor passed on, of what was {os.fsdecode(path)!r}")
