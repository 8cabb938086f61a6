"""The end of a command that failed: one message, an exit status, and never half a sentence."""

import functools
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, ParamSpec

from fswatch_builder.cli.printable import printable, printable_output
from fswatch_builder.cli.render import silence
from fswatch_builder.errors import BuildError, Location, RunError, UsageError

P = ParamSpec("P")

INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE
BUG = 70  # EX_SOFTWARE of sysexits.h


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: ends a build the way Ctrl-C does, so that whatever cleans up after one cleans up after all."""

    def __init__(self, number: int) -> None:
        """The signal's."""
        super().__init__()
        self.number = number


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """A command whose errors are told, and end the process with their status."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        signal.signal(signal.SIGTERM, _terminate)
        # Ignored under nohup(1), and left so.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, _terminate)
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except BuildError as error:
            _say(message(error))
            raise SystemExit(error.exit_status) from None
        except Terminated as error:
            what = "ERROR: hung up" if error.number == signal.SIGHUP else "ERROR: terminated"
            _say("\n".join((what, *_notes(error))))
            raise SystemExit(128 + error.number) from None
        except KeyboardInterrupt as error:
            _say("\n".join(("ERROR: interrupted", *_notes(error))))
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError as error:
            if error.filename:
                _bug()  # not of a stream, and Typer would make it a silent 1
            silence(sys.stdout)
            raise SystemExit(BROKEN_PIPE) from None
        except OSError as error:
            from fswatch_builder.build.failures import is_of_the_system, system_error

            if is_of_the_system(error):
                told = system_error(error)
            elif _is_nowhere():
                told = UsageError("the working directory was removed", hint="change to one that is there")
            else:
                _bug()
            _say(message(told))
            raise SystemExit(told.exit_status) from None
        except Exception:  # noqa: BLE001 - the last resort: everything expected is a BuildError
            _bug()

    return guarded


def _terminate(number: int, _frame: FrameType | None) -> None:
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)  # cleaning up is under way
    raise Terminated(number)


def _is_nowhere() -> bool:
    """Whether our own directory is gone, so that no relative path leads anywhere."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _bug() -> NoReturn:
    import traceback

    _say("\n".join(printable(line) for line in traceback.format_exc().split("\n")))
    _say("ERROR: this is a bug in fswatch-builder; please report it with the lines above and what you ran")
    raise SystemExit(BUG)


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        # A pipe nobody reads, a terminal that went away (EIO): there is nobody left to tell.
        silence(sys.stderr)


def message(error: BuildError) -> str:
    """What, where with the line itself, why, what to do. Nothing of it steers a terminal or poses as a line of ours."""
    lines: list[str] = []
    if isinstance(error, RunError) and error.tail:
        tail = error.tail.rstrip("\n").split("\n")
        lines += ["last lines of its output:", *(f"  | {printable_output(line)}" for line in tail)]
    what = error.what.split("\n")
    lines.append(f"ERROR: {printable(what[0])}")
    lines += [f"  {printable(line)}" for line in what[1:]]
    if error.where is not None:
        lines.append(f"  at {printable(str(error.where))}")
        lines += [f"  {line}" for line in source_lines(error.where, error.text)]
    if error.hint:
        lines.append(f"  hint: {printable(error.hint)}")
    return "\n".join((*lines, *_notes(error)))


def _notes(error: BaseException) -> list[str]:
    """What else went wrong."""
    return [f"  note: {printable(note)}" for note in getattr(error, "__notes__", ())]


def source_lines(where: Location, text: bytes | None = None) -> list[str]:
    """The lines that ``where`` speaks of, of ``text`` or else of the file, and a caret below the place in the first
    one; none if it cannot be read.
    """
    last = where.end_line or where.line
    shown: list[str] = []
    try:
        with io.BytesIO(text) if text is not None else open(where.file, "rb") as file:
            for number, raw in enumerate(file, 1):
                if number > min(last, where.line + 9):
                    break
                if number >= where.line:
                    line = raw.decode("utf-8", "surrogateescape").lstrip("\ufeff").rstrip()
                    shown.append(f"{number:>4} | {printable(line)}")
                if number == where.line:
                    shown.append(f"     | {_blank(printable(line[: where.column - 1]))}^")
    except OSError:
        return []
    return shown


def _blank(text: str) -> str:
    """As wide as the text on a terminal. A tab stays one: how wide it is depends on where it stands."""
    from unicodedata import combining, east_asian_width

    widths = ((" " * (2 if east_asian_width(one) in "WF" else 0 if combining(one) else 1)) for one in text)
    return "".join("\t" if one == "\t" else width for one, width in zip(text, widths, strict=True))
