"""File systems to try, mounted in a mount namespace that nobody else sees."""

import os
import shutil
import subprocess

#: The size of the image each is made on, bytes; those without need none.
_IMAGES = {"ext4": 64 << 20, "xfs": 320 << 20, "btrfs": 160 << 20}
KINDS = ("tmpfs", "ext4", "xfs", "btrfs", "overlay")
_SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"


def is_there(kind: str) -> bool:
    """Whether one can be made, as far as its program tells."""
    return kind not in _IMAGES or shutil.which(f"mkfs.{kind}", path=_SBIN) is not None


def mount(kind: str, directory: str) -> str:
    """Where it is mounted, below ``directory``. CalledProcessError if this kernel has none."""
    point = os.path.join(directory, kind)
    os.mkdir(point)
    match kind:
        case "tmpfs":
            source, options = "tmpfs", ["-o", "size=64m"]
        case "overlay":
            parts = {name: os.path.join(directory, name) for name in ("lower", "upper", "work")}
            for part in parts.values():
                os.mkdir(part)
            given = f"lowerdir={parts['lower']},upperdir={parts['upper']},workdir={parts['work']}"
            source, options = "overlay", ["-o", given]
        case _:
            source, options = os.path.join(directory, f"{kind}.image"), ["-o", "loop"]
            with open(source, "wb") as image:
                image.truncate(_IMAGES[kind])
            mkfs = shutil.which(f"mkfs.{kind}", path=_SBIN) or f"mkfs.{kind}"
            subprocess.run([mkfs, "-q", source], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["mount", "-t", kind, *options, source, point], check=True)
    return point
