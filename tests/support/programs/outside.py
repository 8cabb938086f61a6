"""What a process outside the tree does, on the same file system: things go out, come in, have names on both sides.

Nobody writes outside to what has a name inside: no RUN could reach that name.
"""

import os

from tests.support.programs.actor import Actor, Operation, action, chosen, listing
from tests.support.programs.contents import rewritten
from tests.support.programs.names import renameat2

_EXCHANGE = 2


def _outside(actor: Actor, number: int) -> str:
    return chosen(listing(actor.outside).entries, number)


def _short(actor: Actor, path: str) -> str:
    """As the log tells it."""
    return path.replace(actor.inside, "INSIDE", 1).replace(actor.outside, "OUTSIDE", 1)


@action
def move_out(actor: Actor, take: Operation) -> None:
    path, target = actor.entry(take.one), f"{actor.outside}/{take.new_name}"
    os.rename(path, target)
    actor.say(f"mv -T {_short(actor, path)!r} {_short(actor, target)!r}")


@action
def move_in(actor: Actor, take: Operation) -> None:
    path = _outside(actor, take.one)
    target = actor.entry(take.other) if take.number % 2 else actor.place(take.other, take.new_name)
    os.rename(path, target)
    actor.say(f"mv -T {_short(actor, path)!r} {_short(actor, target)!r}")


@action
def exchange_with_outside(actor: Actor, take: Operation) -> None:
    path, target = _outside(actor, take.one), actor.entry(take.other)
    renameat2(path, target, _EXCHANGE)
    actor.say(f"mv --exchange {_short(actor, path)!r} {_short(actor, target)!r}")


@action
def link_out(actor: Actor, take: Operation) -> None:
    path, target = actor.file(take.one), f"{actor.outside}/{take.new_name}"
    actor.will_link(path)
    os.link(path, target)
    actor.say(f"ln {_short(actor, path)!r} {_short(actor, target)!r}")


@action
def unlink_outside(actor: Actor, take: Operation) -> None:
    path = _outside(actor, take.one)
    os.unlink(path)
    actor.say(f"rm {_short(actor, path)!r}")


@action
def write_outside(actor: Actor, take: Operation) -> None:
    path = chosen(listing(actor.outside).files, take.one)
    if os.lstat(path).st_ino in {os.lstat(file).st_ino for file in actor.look().files}:
        return
    rewritten(path, bytes([take.number]) * 5, keep_times=bool(take.other % 2))
    actor.say(f"write {take.number}s to {_short(actor, path)!r}, keep_times={take.other % 2}")


@action
def make_tree_outside(actor: Actor, take: Operation) -> None:
    path = f"{actor.outside}/{take.new_name}"
    os.mkdir(path)
    os.mkdir(f"{path}/below")
    with open(f"{path}/below/file", "w") as file:
        file.write("outside" * take.number)
    actor.say(f"mkdir -p '{_short(actor, path)}/below', a file in it")
