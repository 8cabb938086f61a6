"""A small root file system that runs: Debian's static busybox and what a distribution has around it."""

import os
import shutil
import subprocess
from functools import cache

BUSYBOX = b"/bin/busybox"
"""From the package busybox-static."""

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
app:x:1000:1000:App:/home/app:/bin/sh
"""

GROUP = b"""root:x:0:
daemon:x:1:
tty:x:5:
staff:x:50:app,daemon
audio:x:63:app
app:x:1000:
"""


@cache
def _applets() -> tuple[bytes, ...]:
    listed = subprocess.run([BUSYBOX, b"--list"], check=True, capture_output=True)
    return tuple(name for name in listed.stdout.split() if name != b"busybox")


def busybox_rootfs(directory: bytes | str) -> None:
    """Fills ``directory`` (made if missing) with /bin, /etc/passwd, /etc/group, /root, /home/app and /tmp.

    There is no /proc, /sys, /dev, /etc/resolv.conf or /etc/hosts: a RUN has to bring them and take them away again.
    """
    root = os.fsencode(directory)
    for name, mode in ((b"", 0o755), (b"bin", 0o755), (b"etc", 0o755), (b"root", 0o700), (b"home", 0o755)):
        _directory(os.path.join(root, name), mode)
    _directory(root + b"/tmp", 0o1777)
    _directory(root + b"/home/app", 0o755)
    if os.geteuid() == 0:
        os.chown(root + b"/home/app", 1000, 1000)
    shutil.copyfile(BUSYBOX, root + b"/bin/busybox")
    os.chmod(root + b"/bin/busybox", 0o755)
    for applet in _applets():
        os.symlink(b"busybox", root + b"/bin/" + applet)
    for path, content in ((b"/etc/passwd", PASSWD), (b"/etc/group", GROUP)):
        with open(root + path, "wb") as file:
            file.write(content)
        os.chmod(root + path, 0o644)


def _directory(path: bytes, mode: int) -> None:
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)
