"""``python -I -S keeper.py LOG COMMAND...``: runs a command, and tells what it took.

A process of its own, and a small one: the largest resident set of a child counts what its parent had when it forked
(exec_mmap() of the kernel), so whoever measures must be smaller than what is measured.

Standard output gets ``STATUS SECONDS PROCESSOR_SECONDS PEAK_KIB``, LOG what the command printed, each line behind the
seconds at which it came. SIGTERM is handed on, and who does not heed it in ten seconds is killed; SIGINT reaches the
command from the terminal.
"""

import resource
import signal
import subprocess
import sys
import time

_GRACE_S = 10


class _Command:
    """What runs, for a signal that may come before it does."""

    process: "subprocess.Popen[bytes] | None" = None
    is_ended = False

    def end(self, *_: object) -> None:
        self.is_ended = True
        if self.process is not None:
            self.process.terminate()
            signal.alarm(_GRACE_S)

    def kill(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()


def main() -> None:
    """Ends when the command has."""
    path, *argv = sys.argv[1:]
    command = _Command()
    signal.signal(signal.SIGTERM, command.end)
    signal.signal(signal.SIGALRM, command.kill)
    # Not ignored: that would be handed down.
    signal.signal(signal.SIGINT, lambda *_: None)
    started = time.monotonic()
    with (
        open(path, "wb") as log,
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process,
    ):
        command.process = process
        if command.is_ended:
            command.end()
        assert process.stdout is not None
        log.writelines(b"%.6f " % (time.monotonic() - started) + line for line in process.stdout)
        status = process.wait()
        seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(status, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss)


if __name__ == "__main__":
    main()
