"""The store that a command works on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fswatch_builder.cli.printable import printable
from fswatch_builder.oci.store import Store


@contextmanager
def open_store(directory: str) -> Iterator[Store]:
    """The store in ``directory``; what a user has to be told of it is told. Raises StoreError."""
    with Store.open(directory) as store:
        for notice in store.notices:
            print(f"WARN: {printable(notice)}", file=sys.stderr)
        yield store
