"""The files of images, without the images: in a tar, or in a directory of the host."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Final

from fswatch_builder._native import Baseline, HintSet, RefusedError, Rootfs, copy, pack_layer, remove_tree
from fswatch_builder.build.meter import SILENT
from fswatch_builder.build.output.spec import TarOutput, TreeOutput
from fswatch_builder.build.product import Product
from fswatch_builder.build.unpacking import new_rootfs, unpack_all
from fswatch_builder.errors import OutputError
from fswatch_builder.model.image import Image
from fswatch_builder.oci.blobs import write_errors
from fswatch_builder.oci.compression import pipe
from fswatch_builder.oci.packing import pieces
from fswatch_builder.oci.store import Store
from fswatch_builder.oci.whole import resolved, whole_directory, whole_file
from fswatch_builder.runtime.host import check_owners

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def write_tar(store: Store, product: Product, output: TarOutput) -> None:
    """All files with their owners, as a layer over nothing would hold them. Raises OutputError."""
    with store.workspace() as directory:
        rootfs = _files(store, product, directory, split=product.index is not None)
        nothing = Baseline.empty(rootfs)
        everything = nothing.reconcile(rootfs, _whole())
        with (
            whole_file(output.dest) as file,
            _told(output.dest),
            _fed(lambda sink: pack_layer(rootfs, nothing, everything, sink)) as tar,
        ):
            for piece in pieces(tar):
                file.write(piece)


def write_tree(store: Store, product: Product, output: TreeOutput) -> None:
    """All files, owned by whoever runs this. Raises OutputError.

    A new directory appears whole. What is in one that is there already stays, unless it has the name of something in
    the image, or ``delete`` asks for a new directory in its place. All is written before the first thing changes there.
    """
    split = product.index is not None if output.split is None else output.split
    with store.workspace() as directory:
        rootfs = _files(store, product, directory, split=split)
        with write_errors(output.dest), _told(output.dest):
            dest = resolved(output.dest)
            if output.mode == "copy" and os.path.isdir(dest):
                _merge_into(dest, rootfs)
                return
            first = dest if os.path.lexists(dest) else _first_missing(dest)
            with whole_directory(first) as draft:
                within = os.path.normpath(os.path.join(draft, os.path.relpath(dest, first)))
                os.makedirs(within, exist_ok=True)
                _fill(within, rootfs)


def _files(store: Store, product: Product, directory: str, *, split: bool) -> Rootfs:
    """The files of all images, unpacked in ``directory``: with ``split`` those of ``linux/arm64`` in ``linux_arm64``,
    else as one tree, in which no two platforms may have the same file.
    """
    place = os.path.join(directory, "files")
    if split:
        together, _ = new_rootfs(place)
        for one in product.images:
            own = os.path.join(place, str(one.platform).replace("/", "_"))
            _unpacked(store, one.image, own)
            os.utime(own, (0, 0))  # a root's time is when it was unpacked
        return together
    first, *others = product.images
    together = _unpacked(store, first.image, place)
    for number, other in enumerate(others):
        apart = _unpacked(store, other.image, os.path.join(directory, f"other-{number}"))
        _check_apart(os.fsdecode(apart.path), place, str(other.platform))
        copy(apart, [b""], together, b"/", context=False)
    return together


def _unpacked(store: Store, image: Image, place: str) -> Rootfs:
    check_owners()
    with write_errors(store.directory):
        rootfs, baseline = new_rootfs(place)
    unpack_all(image.layers, store, rootfs, baseline, SILENT)
    return rootfs


def _check_apart(one: str, other: str, platform: str) -> None:
    """That two trees have nothing but directories in common."""
    for directory, inner, files in os.walk(one):
        inner.sort()  # what is told is the same whatever the file system's order
        relative = os.path.relpath(directory, one)
        for name in (*inner, *sorted(files)):
            path = os.path.normpath(os.path.join(relative, name))
            theirs = os.path.join(other, path)
            if os.path.lexists(theirs) and not (_is_real(os.path.join(directory, name)) and _is_real(theirs)):
                raise OutputError(
                    f"/{path} of {platform} is in the image for another platform too, and platform-split=false puts "
                    "all files into one directory",
                    hint="leave platform-split=false out, or give files names with TARGETARCH in them",
                )


def _is_real(path: str) -> bool:
    """A directory, and no link to one."""
    return stat.S_ISDIR(os.lstat(path).st_mode)


def _whole() -> HintSet:
    hints = HintSet()
    hints.add(b"", "subtree")
    return hints


@contextmanager
def _fed(write: Callable[[int], object]) -> Iterator[int]:
    """A pipe to read what ``write`` writes, in a thread of its own: should whoever reads our output stall, the thread
    that was called still hears of Ctrl-C.
    """
    reading, writing = pipe()
    failure: list[BaseException] = []

    def work() -> None:
        try:
            write(writing)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the reader's thread
            failure.append(error)
        finally:
            os.close(writing)

    thread = Thread(target=work, name="pack", daemon=True)
    thread.start()
    try:
        yield reading
    finally:
        os.close(reading)  # one that is not done meets EPIPE
        thread.join()
    if failure:
        raise failure[0]


@contextmanager
def _told(dest: str) -> Iterator[None]:
    try:
        yield
    except RefusedError as error:
        raise OutputError(f"cannot write to {dest}: {os.fsdecode(error.path)}: {error.reason}") from error


def _first_missing(path: str) -> str:
    """The topmost directory above ``path``, or itself, that is not there."""
    parent = os.path.dirname(path)
    return path if os.path.isdir(parent) else _first_missing(parent)


def _fill(directory: str, rootfs: Rootfs) -> None:
    owner = (os.geteuid(), os.getegid())
    copy(rootfs, [b""], Rootfs(os.fsencode(directory)), b"/", owner=owner, context=False)


def _merge_into(dest: str, rootfs: Rootfs) -> None:
    # In it, not beside it: it may be where another file system is mounted.
    draft = os.path.join(dest, f".{os.urandom(4).hex()}.tmp")
    os.mkdir(draft, 0o700)
    try:
        _fill(draft, rootfs)
        _move_all(draft, dest)
    finally:
        with suppress(FileNotFoundError):
            remove_tree(os.fsencode(draft))


def _move_all(draft: str, dest: str) -> None:
    """Moves what is in one directory into another. Directories merge, everything else takes the place of what is there.

    No link of the destination is followed, whoever planted it.
    """
    waiting = [(os.open(draft, _DIRECTORY), os.open(dest, _DIRECTORY))]
    while waiting:
        source, target = waiting.pop()
        try:
            for name in os.listdir(source):
                if _is_directory(name, source) and _is_directory(name, target):
                    waiting.append(_entered(name, source, target))
                else:
                    _replace(name, source, target)
        finally:
            os.close(source)
            os.close(target)


def _entered(name: str, source: int, target: int) -> tuple[int, int]:
    """Both directories of a name, the one that stays with the metadata of the new one."""
    inner = os.open(name, _DIRECTORY, dir_fd=source)
    outer = os.open(name, _DIRECTORY, dir_fd=target)
    status = os.fstat(inner)
    os.fchown(outer, status.st_uid, status.st_gid)
    os.fchmod(outer, stat.S_IMODE(status.st_mode))
    return inner, outer


def _replace(name: str, source: int, target: int) -> None:
    if _is_directory(name, target):
        remove_tree(os.fsencode(f"/proc/self/fd/{target}/{name}"))
    elif _is_directory(name, source):
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=target)
    os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)


def _is_directory(name: str, directory: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
