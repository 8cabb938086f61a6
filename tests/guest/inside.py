"""Runs the suites of a plan, in the guest: a line of JSON for each on standard output, logs beside the plan."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.guest.suites import TOO_LONG, Plan, Started, Suite, Verdict


def main(plan_file: Path) -> None:
    """Runs what ``plan_file`` says."""
    plan = msgspec.json.decode(plan_file.read_bytes(), type=Plan)
    say(Started(platform.release()))
    for suite in plan.suites:
        say(run(suite, plan, plan_file.with_name(f"{suite.name}.log")))


def say(message: Started | Verdict) -> None:
    """Serial lines know no buffering: the reader sees it at once."""
    print(msgspec.json.encode(message).decode(), flush=True)


def run(suite: Suite, plan: Plan, log: Path) -> Verdict:
    """One suite, its output in ``log``."""
    scratch = Path(os.environ["TMPDIR"])
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(scratch / suite.name)),
        *("-o", f"timeout={plan.seconds_per_test}", *suite.arguments),
    ]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | suite.environment,
            start_new_session=True,
        )
        try:
            status = process.wait(plan.seconds_per_suite)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = TOO_LONG
    lines = log.read_text(errors="replace").splitlines()
    return Verdict(suite.name, status, lines[-1] if lines else "", failures(lines))


def failures(lines: list[str]) -> list[str]:
    """What pytest's summary says of each test that failed."""
    return [line for line in lines if line.startswith(("FAILED ", "ERROR "))]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
