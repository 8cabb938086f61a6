"""Registries: the pull side of the OCI distribution protocol. httpx is imported when it is needed: it takes 80 ms."""

from fswatch_builder.oci.registry.progress import Progress, Received
from fswatch_builder.oci.registry.pull import pull

__all__ = ["Progress", "Received", "pull"]
