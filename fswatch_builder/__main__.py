"""``python -m fswatch_builder``."""

from fswatch_builder.cli.app import main

main()
