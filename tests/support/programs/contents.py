"""Every way to change what is in a file."""

import ctypes
import mmap
import os
import shutil
import stat

from tests.support.programs.actor import Actor, Operation, action, checked, chosen, libc, opened

_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 1, 2, 16


def rewritten(path: str, content: bytes, *, keep_times: bool) -> None:
    """The file itself gets new bytes, from its start."""
    times = os.stat(path)
    with opened(path, os.O_WRONLY) as file:
        os.write(file, content)
    if keep_times:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def content(path: str) -> bytes:
    with opened(path, os.O_RDONLY) as file:
        return os.read(file, 1 << 17)


def fallocate(file: int, mode: int, offset: int, length: int) -> None:
    checked(libc.fallocate(file, mode, ctypes.c_long(offset), ctypes.c_long(length)))


@action
def create(actor: Actor, take: Operation) -> None:
    path = actor.place(take.one, take.new_name)
    with opened(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY) as file:
        os.write(file, b"x" * take.number)
    actor.say(f"create {path!r} size={take.number}")


@action
def append(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_WRONLY | os.O_APPEND) as file:
        os.write(file, b"+")
    actor.say(f"echo -n + >> {path!r}")


@action
def empty(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_WRONLY | os.O_TRUNC):
        pass
    actor.say(f": > {path!r}")


@action
def rewrite(actor: Actor, take: Operation) -> None:
    path, keep_times = actor.file(take.one), bool(take.other % 2)
    rewritten(path, bytes([take.number]) * os.stat(path).st_size, keep_times=keep_times)
    actor.say(f"rewrite {path!r} with {take.number}s, {keep_times=}")


@action
def rewrite_with_what_it_holds(actor: Actor, take: Operation) -> None:
    path, keep_times = actor.file(take.one), bool(take.other % 2)
    rewritten(path, content(path), keep_times=keep_times)
    actor.say(f"cat {path!r} 1<> {path!r}, {keep_times=}")


@action
def rewrite_and_restore(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    before, times = content(path), os.stat(path)
    rewritten(path, b"?" * len(before), keep_times=False)
    rewritten(path, before, keep_times=False)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    actor.say(f"rewrite {path!r}, and again with what it held, and its time")


@action
def truncate(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    size = os.stat(path).st_size if take.other % 3 == 0 else take.number
    os.truncate(path, size)
    actor.say(f"truncate -s {size} {path!r}")


@action
def storm(actor: Actor, take: Operation) -> None:
    """So many writes that a tracker may ask to be told of none, then what nothing but MODIFY tells of."""
    path, other = actor.file(take.one), actor.file(take.other)
    with opened(path, os.O_WRONLY) as file:
        for _ in range(60_000):
            os.pwrite(file, bytes([take.number]), 0)
        os.truncate(other, take.number)
    actor.say(f"write {path!r} 60,000 times, then truncate -s {take.number} {other!r}, then close the former")


@action
def map_and_store(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    if os.stat(path).st_size == 0:  # cannot be mapped
        return
    with opened(path, os.O_RDWR) as file, mmap.mmap(file, 0) as mapped:
        mapped[0] = take.number
    actor.say(f"store {take.number} in a mapping of {path!r}")


@action
def allocate(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_WRONLY) as file:
        fallocate(file, _KEEP_SIZE if take.other % 2 else 0, 0, os.fstat(file).st_size + take.number + 1)
    actor.say(f"fallocate {path!r} {take.number + 1} more, keep_size={take.other % 2}")


@action
def punch_a_hole(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_WRONLY) as file:
        fallocate(file, _KEEP_SIZE | _PUNCH_HOLE, 0, take.number + 1)
    actor.say(f"fallocate --punch-hole -l {take.number + 1} {path!r}")


@action
def zero_a_range(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_WRONLY) as file:
        fallocate(file, _ZERO_RANGE, take.number, 3)
    actor.say(f"fallocate --zero-range -o {take.number} -l 3 {path!r}")


@action
def write_far_out(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_WRONLY) as file:
        os.pwrite(file, b"far", 8192 * (1 + take.number))
    actor.say(f"write at {8192 * (1 + take.number)} in {path!r}")


@action
def write_past_the_cache(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with mmap.mmap(-1, 4096) as block, opened(path, os.O_WRONLY | os.O_DIRECT) as file:
        block[:] = bytes([take.number]) * 4096
        os.write(file, block)
    actor.say(f"write 4096 {take.number}s to {path!r} with O_DIRECT")


@action
def copy_over(actor: Actor, take: Operation) -> None:
    path, target = actor.file(take.one), actor.file(take.other)
    if not os.path.samefile(path, target):
        shutil.copyfile(path, target)
        actor.say(f"cp {path!r} {target!r}")


@action
def copy_within_the_kernel(actor: Actor, take: Operation) -> None:
    path, target = actor.file(take.one), actor.file(take.other)
    if os.path.samefile(path, target):
        return
    way = ("copy_file_range", "sendfile", "splice")[take.number % 3]
    with opened(path, os.O_RDONLY) as source, opened(target, os.O_WRONLY) as file:
        match way:
            case "copy_file_range":
                os.copy_file_range(source, file, 1000)
            case "sendfile":
                os.sendfile(file, source, 0, 1000)
            case _:
                reader, writer = os.pipe()
                try:
                    if sent := os.splice(source, writer, 1000):
                        os.splice(reader, file, sent)
                finally:
                    os.close(reader)
                    os.close(writer)
    actor.say(f"{way} {path!r} to {target!r}")


@action
def swap_contents(actor: Actor, take: Operation) -> None:
    path, target = actor.file(take.one), actor.file(take.other)
    one, other = content(path), content(target)
    width = max(len(one), len(other))
    rewritten(path, other.ljust(width), keep_times=True)
    rewritten(target, one.ljust(width), keep_times=True)
    actor.say(f"swap what is in {path!r} and {target!r}, times kept")


@action
def save_as_an_editor_does(actor: Actor, take: Operation) -> None:
    path, keep_times = actor.file(take.one), bool(take.other % 2)
    times, temporary = os.stat(path), path + "~"
    with opened(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY) as file:
        os.write(file, bytes([take.number]) * times.st_size)
    if keep_times:
        os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.rename(temporary, path)
    actor.say(f"sed -i s/./{take.number}/g {path!r}, {keep_times=}")


@action
def open_for_writing(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_RDWR):
        pass
    actor.say(f": >> {path!r}")


@action
def read(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    content(path)
    actor.say(f"cat {path!r}")


@action
def write_through_symlink(actor: Actor, take: Operation) -> None:
    path = chosen(actor.look().symlinks, take.one)
    with opened(path, os.O_WRONLY | os.O_APPEND) as file:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return
        os.write(file, b"~")
    actor.say(f"echo -n ~ >> {path!r} (a link to {os.readlink(path)!r})")
