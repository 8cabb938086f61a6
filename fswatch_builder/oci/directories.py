"""The directories of a store, and what an image layout must have."""

import os
from typing import Final

from fswatch_builder.oci import documents
from fswatch_builder.oci.blobs import is_there, write_whole
from fswatch_builder.oci.names import INDEX
from fswatch_builder.oci.state import exclusive
from fswatch_builder.oci.workspace import sweep, workspace

LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'


def prepare(directory: str) -> None:
    """Makes what is missing, and removes workspaces of the dead. Raises OSError."""
    work = os.path.join(directory, "work")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.makedirs(os.path.join(directory, "blobs", "sha256"), exist_ok=True)
    os.makedirs(work, mode=0o700, exist_ok=True)
    sweep(work)
    if not is_there(os.path.join(directory, "oci-layout")):
        # Two that found none at once must not both write an empty index: the second would wipe out names.
        with exclusive(directory), workspace(work) as drafts:
            if not is_there(os.path.join(directory, "oci-layout")):
                if not is_there(os.path.join(directory, INDEX)):
                    write_whole(os.path.join(directory, INDEX), documents.write_index([]), drafts)
                write_whole(os.path.join(directory, "oci-layout"), LAYOUT, drafts)
