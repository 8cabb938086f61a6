"""Builds container images from Dockerfiles, watching what each RUN touches instead of scanning for it."""
