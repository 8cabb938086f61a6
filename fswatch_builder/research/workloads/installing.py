"""What RUNs of images of Debian do most."""

from collections.abc import Sequence

from fswatch_builder.research.corpora.debian import KIND, PACKAGES
from fswatch_builder.research.workloads.workload import Tools, Workload, nothing_to_plant

_ENVIRONMENT = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")


def _apt_install(tree: str, tools: Tools) -> Sequence[str]:
    del tree, tools
    install = ["apt-get", "install", "--yes", "--quiet", "--no-download", "--no-install-recommends", *PACKAGES]
    return ["chroot", ".", "/usr/bin/env", "-i", *_ENVIRONMENT, *install]


INSTALLING = (
    Workload(
        "apt-install",
        f"apt-get install of {', '.join(PACKAGES)}, downloaded before; on corpus {KIND} alone",
        nothing_to_plant,
        _apt_install,
        ("chroot",),
        KIND,
        ("chroot",),
    ),
)
