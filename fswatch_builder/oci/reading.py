"""Turns failures of reading an image into one error."""

from collections.abc import Iterator
from contextlib import contextmanager

from fswatch_builder.errors import BaseImageError
from fswatch_builder.oci.decoding import CompressionError
from fswatch_builder.oci.tarindex import TarError


@contextmanager
def reading(what: str) -> Iterator[None]:
    """An ``OSError``, damaged compression or a damaged tar inside is a BaseImageError about ``what``."""
    try:
        yield
    except OSError as error:
        raise BaseImageError(f"cannot read {what}: {error.strerror or error}") from error
    except (CompressionError, TarError) as error:
        raise BaseImageError(f"{what} cannot be used: {error}") from error
