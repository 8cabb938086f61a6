"""``python -m benchmarks.layers.once BASE STORE``: a base is imported, unpacked and watched, as the first RUN wants it.

A process of its own, so that its system calls can be counted.
"""

import sys

from benchmarks.layers.importing import import_and_watch
from fswatch_builder.build.worksite import Worksite
from fswatch_builder.oci.store import Store

if __name__ == "__main__":
    base, directory = sys.argv[1:]
    with Store.open(directory) as store, Worksite(store, "auto") as site:
        import_and_watch(store, site, base)
