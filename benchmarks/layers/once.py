"""``python -m benchmarks.layers.once BASE STORE``: a base is imported, unpacked and watched, as the first RUN wants it.

A process of its own, so that its system calls can be counted.
"""

import sys

from benchmarks.layers.importing import import_and_watch
from benchmarks.row import seconds

if __name__ == "__main__":
    base, directory = sys.argv[1:]
    import_and_watch(directory, base, seconds)
