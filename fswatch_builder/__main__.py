"""``python -m fswatch_builder``."""

from fswatch_builder.cli.entry import main

main()
