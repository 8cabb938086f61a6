"""Watching against scanning: the same command on the same tree, found out about in every way."""
