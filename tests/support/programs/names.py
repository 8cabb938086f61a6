"""Every way to give, take and trade names, and to make something else of them."""

import os
import shutil
import stat

from tests.support.programs.actor import Actor, Operation, action, checked, chosen, libc, opened
from tests.support.programs.contents import rewritten

_AT_FDCWD, _NOREPLACE, _EXCHANGE, _WHITEOUT = -100, 1, 2, 4


def renameat2(path: str, target: str, flags: int) -> None:
    checked(libc.renameat2(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(target), flags))


def removed(path: str) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


@action
def rename(actor: Actor, take: Operation) -> None:
    path = actor.entry(take.one)
    target = actor.entry(take.other) if take.number % 2 else actor.place(take.other, take.new_name)
    os.rename(path, target)
    actor.say(f"mv -T {path!r} {target!r}")


@action
def rename_unless_taken(actor: Actor, take: Operation) -> None:
    path, target = actor.entry(take.one), actor.place(take.other, take.new_name)
    renameat2(path, target, _NOREPLACE)
    actor.say(f"mv -nT {path!r} {target!r}")


@action
def exchange(actor: Actor, take: Operation) -> None:
    path, target = actor.entry(take.one), actor.entry(take.other)
    renameat2(path, target, _EXCHANGE)
    actor.say(f"mv --exchange {path!r} {target!r}")


@action
def rename_and_leave_a_whiteout(actor: Actor, take: Operation) -> None:
    path, target = actor.entry(take.one), actor.place(take.other, take.new_name)
    renameat2(path, target, _WHITEOUT)
    actor.say(f"mv -T {path!r} {target!r} with RENAME_WHITEOUT")


@action
def swap_by_three_renames(actor: Actor, take: Operation) -> None:
    path, target = actor.entry(take.one), actor.entry(take.other)
    if path == target or path.startswith(target + "/") or target.startswith(path + "/"):
        return
    between = path + ".between"
    os.rename(path, between)
    os.rename(target, path)
    os.rename(between, target)
    actor.say(f"mv {path!r} to {target!r} and that to {path!r}")


@action
def move_away_and_back(actor: Actor, take: Operation) -> None:
    path, away = actor.entry(take.one), actor.place(take.other, take.new_name)
    os.rename(path, away)
    os.rename(away, path)
    actor.say(f"mv -T {path!r} {away!r}; mv -T {away!r} {path!r}")


@action
def move_away_write_and_back(actor: Actor, take: Operation) -> None:
    path, away = actor.directory(take.one), actor.place(take.other, take.new_name)
    os.rename(path, away)
    actor.say(f"mv -T {path!r} {away!r}")
    inside = [file for file in actor.look().files if file.startswith(away + "/")]
    if inside:
        written = chosen(inside, take.number)
        rewritten(written, bytes([take.number]) * 3, keep_times=True)
        actor.say(f"write in {written!r}, time kept")
    if take.number % 4:
        os.rename(away, path)
        actor.say(f"mv -T {away!r} {path!r}")


@action
def move_into_a_new_directory(actor: Actor, take: Operation) -> None:
    path, new = actor.entry(take.one), actor.place(take.other, take.new_name)
    os.mkdir(new)
    actor.say(f"mkdir {new!r}")
    os.rename(path, f"{new}/moved")
    actor.say(f"mv {path!r} '{new}/moved'")
    if take.number % 2:
        os.rename(f"{new}/moved", path)
        os.rmdir(new)
        actor.say(f"mv '{new}/moved' {path!r}; rmdir {new!r}")


@action
def unlink(actor: Actor, take: Operation) -> None:
    path = actor.entry(take.one)
    os.unlink(path)
    actor.say(f"unlink {path!r}")


@action
def create_and_remove(actor: Actor, take: Operation) -> None:
    path = actor.place(take.one, take.new_name)
    with opened(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY) as file:
        os.write(file, b"short-lived")
    os.unlink(path)
    actor.say(f"echo short-lived > {path!r}; rm {path!r}")


@action
def remove_and_create(actor: Actor, take: Operation) -> None:
    """On many file systems with the same inode number."""
    path = actor.file(take.one)
    before = os.stat(path)
    os.unlink(path)
    with opened(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY) as file:
        os.write(file, bytes([take.number]) * before.st_size)
    if take.other % 2:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    actor.say(f"rm {path!r}; write {before.st_size} {take.number}s to it, keep_times={take.other % 2}")


@action
def make_something_else_of_it(actor: Actor, take: Operation) -> None:
    path = actor.entry(take.one)
    leads_to = "/" + os.path.normpath(actor.directory(take.other))
    removed(path)
    kind = ("directory", "symlink", "fifo", "file")[take.number % 4]
    match kind:
        case "directory":
            os.mkdir(path)
        case "symlink":
            os.symlink(leads_to, path)
        case "fifo":
            os.mkfifo(path)
        case _:
            with opened(path, os.O_CREAT | os.O_WRONLY) as file:
                os.write(file, b"replaced")
    actor.say(f"rm -r {path!r}; now a {kind}")


@action
def put_a_link_in_place_of_a_directory(actor: Actor, take: Operation) -> None:
    path, away = actor.below(take.one), actor.place(take.other, take.new_name)
    os.rename(path, away)
    actor.say(f"mv -T {path!r} {away!r}")
    os.symlink("/" + away, path)
    actor.say(f"ln -s '/{away}' {path!r}")
    if take.number % 2:
        os.unlink(path)
        os.rename(away, path)
        actor.say(f"rm {path!r}; mv -T {away!r} {path!r}")


@action
def symlink(actor: Actor, take: Operation) -> None:
    target, path = "/" + actor.entry(take.one), actor.place(take.other, take.new_name)
    os.symlink(target, path)
    actor.say(f"ln -s {target!r} {path!r}")


@action
def symlink_over(actor: Actor, take: Operation) -> None:
    target, path = actor.entry(take.one), chosen(actor.look().symlinks, take.other)
    os.symlink(target, path + ".new")
    os.rename(path + ".new", path)
    actor.say(f"ln -sfT {target!r} {path!r}")


@action
def make_special(actor: Actor, take: Operation) -> None:
    path = actor.place(take.one, take.new_name)
    kind = (stat.S_IFIFO, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFCHR)[take.number % 4]
    os.mknod(path, kind | 0o644, os.makedev(1, take.other))
    actor.say(f"mknod {path!r} {stat.filemode(kind)[0]} 1 {take.other}")


@action
def create_with_a_long_name(actor: Actor, take: Operation) -> None:
    path = actor.place(take.one, take.new_name + "\udcfe" * (255 - len(os.fsencode(take.new_name))))
    with opened(path, os.O_CREAT | os.O_WRONLY) as file:
        os.write(file, b"long")
    actor.say(f"echo -n long > {path[: -len(os.path.basename(path)) or None]!r} and a name of 255 bytes")
