"""A root file system of a given size: busybox and many small files, the same bytes every time."""

import os
import shutil
import subprocess

FILES_PER_DIRECTORY = 10
DIRECTORIES_PER_DIRECTORY = 100
FILE_SIZE = 64
APPLETS = ("sh", "true", "echo", "cat", "ls", "tar", "mkdir", "rm", "touch", "chmod", "cp", "mv", "ln", "truncate")


def make_rootfs(directory: str, files: int) -> None:
    """Writes it to ``directory``, which must not exist: ``files`` files of 64 bytes, ten a directory, three deep."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise FileNotFoundError("busybox is needed: apt-get install busybox-static")
    bin_directory = os.path.join(directory, "bin")
    os.makedirs(bin_directory)
    shutil.copy2(busybox, os.path.join(bin_directory, "busybox"))
    for applet in APPLETS:
        os.symlink("busybox", os.path.join(bin_directory, applet))
    for number in range(files):
        leaf, name = divmod(number, FILES_PER_DIRECTORY)
        upper, lower = divmod(leaf, DIRECTORIES_PER_DIRECTORY)
        parent = os.path.join(directory, "data", f"{upper:04}", f"{lower:02}")
        if name == 0:
            os.makedirs(parent)
        with open(os.path.join(parent, f"f{name}"), "wb") as file:
            file.write(f"{number:0{FILE_SIZE}}".encode())


def pack(directory: str, archive: str) -> None:
    """The same as a tar, for peers that import one."""
    command = ["tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C", directory]
    subprocess.run([*command, "-cf", archive, "."], check=True)
