"""The command's first instant. Until everything is imported there is nothing to clean up: Ctrl-C just ends it."""

import signal


def main() -> None:
    """Runs the command line and exits."""
    # Who starts us with Ctrl-C ignored (nohup, a shell's background job) means it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fswatch_builder.cli.app import main as run

    run()
