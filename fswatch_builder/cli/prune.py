"""``fswatch-builder prune``: room on the disk, and a store that is known to be whole."""

import sys
import time
from typing import Annotated

import typer

from fswatch_builder.cli import options, quantities, values
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.opening import open_store
from fswatch_builder.cli.patience import patience
from fswatch_builder.cli.printable import printable
from fswatch_builder.cli.status import StatusLine
from fswatch_builder.errors import StoreError, UsageError
from fswatch_builder.model.quantity import size_text
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.keeping.prune import Pruned, Wish, prune
from fswatch_builder.oci.keeping.reserve import give_up_reserve
from fswatch_builder.oci.keeping.verify import Report, verify
from fswatch_builder.oci.store import Store

All = Annotated[bool, typer.Option("--all", "-a", help="Remove images too, not only what no image needs.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")]
Filter = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="until=TIME", help="Only what was last used before: 24h ago, 7d ago, a date."),
]
KeepStorage = Annotated[
    str | None,
    typer.Option(
        "--keep-storage", "--reserved-space", metavar="SIZE", help="Keep so much, the most recently used, such as 10GB."
    ),
]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Read everything again; remove what is damaged and what needs it, and leftovers."),
]

_WARNING = """\
This will remove:
  - all blobs that no image needs: layers of stages and of replaced images, results of cached steps
  - all unpacked bases, and what is recorded of directories that were used as bases
  - all cache mounts (RUN --mount=type=cache)"""
_ALL = "  - all images"
_SPARED = "What a running build uses stays."


@reported
def prune_command(
    all_: All = False,
    force: Force = False,
    filters: Filter = None,
    keep_storage: KeepStorage = None,
    verify_: Verify = False,
    store: options.StoreDirectory = None,
) -> None:
    """Remove what is not needed from the local store, or what is damaged.

    Without options: all that no image needs, the build cache included, as docker builder prune. What a running build
    uses is never removed.

    \b
    Examples:
      fswatch-builder prune
      fswatch-builder prune -f --filter until=72h --keep-storage 20GB
      fswatch-builder prune -a
      fswatch-builder prune --verify
    """  # noqa: D301 - the escape keeps the lines as they are
    wish = _wish(all_, filters or (), keep_storage)
    if verify_ and wish != Wish():
        raise UsageError("--verify stands alone", hint="prune with the other options before or after it")
    directory = values.store_directory(store)
    if not verify_ and not force and not _agreed(wish):
        return
    give_up_reserve(directory)
    with open_store(directory) as found:
        if verify_:
            _verify(found)
            return
        with patience("looking at what there is"):
            pruned = prune(found, wish)
        for line in summary(pruned):
            print(line)


def _wish(all_: bool, filters: "list[str] | tuple[()]", keep_storage: str | None) -> Wish:
    before: float | None = None
    for text in filters:
        key, equals, value = text.partition("=")
        if key != "until" or not equals:
            raise UsageError(f"--filter {text}: only until=TIME is known", hint="such as --filter until=24h")
        moment = quantities.moment("--filter until=", value, time.time())
        before = moment if before is None else min(before, moment)
    return Wish(all_, before, None if keep_storage is None else quantities.size("--keep-storage", keep_storage))


def _agreed(wish: Wish) -> bool:
    lines = [_WARNING, *([_ALL] if wish.images else [])]
    if wish.before is not None:
        when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(wish.before))
        lines.append(f"Of that, only what was last used before {when}.")
    if wish.keep is not None:
        lines.append(f"Of that, the {size_text(wish.keep)} that were used last stay.")
    lines.append(_SPARED)
    print("\n".join(lines), file=sys.stderr)
    print("Are you sure you want to continue? [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not sys.stdin.isatty():
        print(file=sys.stderr)
    if not answer:
        raise UsageError("nobody is there to ask", hint="--force removes without asking")
    return answer.strip().lower() in ("y", "yes")


def summary(pruned: Pruned) -> list[str]:
    """What went, what stayed because it is in use, and what that brought."""
    lines = [f"removed {printable(gone.what)}  {size_text(gone.size)}" for gone in pruned.removed]
    lines += [f"in use  {printable(stays.what)}" for stays in pruned.in_use]
    return [*lines, f"Total reclaimed space: {size_text(pruned.freed)}"]


def _verify(store: Store) -> None:
    from fswatch_builder.build.belief import damage

    run = verify(store, {Kind.TREE: damage, Kind.STATE: damage})
    with StatusLine(sys.stderr) as status:
        while True:
            try:
                progress = next(run)
            except StopIteration as end:
                report: Report = end.value
                break
            status.show(f"verifying: {size_text(progress.done)} of {size_text(progress.total)}")
    for line in (*report.damage, *report.lost):
        print(f"WARN: {printable(line)}", file=sys.stderr)
    for line in report.left:
        print(f"WARN: {printable(line)}; it stays, for a running build uses it", file=sys.stderr)
    for line in report.swept:
        print(f"removed {printable(line)}")
    print(f"{report.blobs} blobs, {size_text(report.size)}: " + ("all whole" if report.is_clean else "see above"))
    if not report.is_clean:
        raise StoreError(
            "the store was damaged"
            if not report.left
            else "the store is damaged, and not all of it could be removed now",
            hint="run it again when no build is running"
            if report.left
            else "what is damaged is gone; the rest is whole",
        )
