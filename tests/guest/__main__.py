"""Runs tests in guests with the kernels that Debian offers.

python -m tests.guest [--kernel 6.1] [--quick | --no-quick] [--suite NAME | -- PYTEST-ARGUMENT...]
"""

import argparse
import fcntl
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import msgspec

from tests.guest import kernels, machine
from tests.guest.initramfs import initramfs
from tests.guest.kernels import Kernel
from tests.guest.machine import Accelerator
from tests.guest.suites import PROGRAMS, PROGRAMS_QUICK, TABLES, TOO_LONG, Failed, Plan, Started, Suite, Verdict, suites

PROJECT = Path(__file__).parents[2]
CACHE = PROJECT / ".cache" / "kernels"

SLOWER = 10
"""How much more time is given without KVM."""

QUICK = f"a part: {', '.join(f'1/{step} of {name}' for name, (_, step) in TABLES.items())}"

EMULATED = f"Processors are emulated: {SLOWER} times slower, and as conclusive."


def main() -> int:
    """0 if every suite passed on every kernel."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    known = [suite.name for suite in suites(None, 0, quick=False)]
    parser = argparse.ArgumentParser(prog="python -m tests.guest", description=__doc__)
    parser.add_argument("--kernel", action="append", choices=list(kernels.SUITES), help="default: all")
    parser.add_argument("--suite", action="append", choices=known, help="default: all")
    parser.add_argument("--quick", action=argparse.BooleanOptionalAction, help=f"{QUICK} (default without KVM)")
    parser.add_argument(
        "--examples", type=int, help=f"random programs a kernel (default: {PROGRAMS}, or {PROGRAMS_QUICK})"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of what is drawn at random")
    parser.add_argument("--accelerator", choices=["kvm", "tcg"], help="default: kvm where it works")
    parser.add_argument("arguments", nargs="*", metavar="PYTEST-ARGUMENT", help="instead of all suites")
    asked = parser.parse_args()

    CACHE.mkdir(parents=True, exist_ok=True)
    lock = open(CACHE / "lock", "w")  # noqa: SIM115 - held until the process ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"error: another run uses {CACHE}", file=sys.stderr)
        return 2
    passed = True
    try:
        accelerators = [asked.accelerator] if asked.accelerator else usable_accelerators()
        print(f"drawn at random: --seed {asked.seed}", flush=True)
        for name in asked.kernel or kernels.SUITES:
            kernel = kernels.kernel(name, CACHE)
            while (done := run(kernel, plan(asked, accelerators[0]), accelerators[0])) is None and len(
                accelerators
            ) > 1:
                given_up = accelerators.pop(0)
                print(f"no guest started with {given_up}. {EMULATED}", flush=True)
            passed &= bool(done)
    except kernels.UnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0 if passed else 1


def plan(asked: argparse.Namespace, accelerator: Accelerator) -> list[Suite]:
    """What to run. Says so if that is not everything."""
    if asked.arguments:
        return [Suite("asked", asked.arguments)]
    quick = accelerator == "tcg" if asked.quick is None else asked.quick
    if quick:
        print(f"--quick: {QUICK}", flush=True)
    found = suites(asked.examples, asked.seed, quick=quick)
    return [suite for suite in found if asked.suite is None or suite.name in asked.suite]


def usable_accelerators() -> list[Accelerator]:
    """What to try, best first.

    Emulation twice: seldom, a kernel that patches its code as it boots comes upon an instruction half patched.
    """
    reason = machine.why_no_kvm()
    if reason is None:
        return ["kvm", "tcg", "tcg"]
    print(f"no KVM ({reason}). {EMULATED}", flush=True)
    return ["tcg", "tcg"]


def run(kernel: Kernel, chosen: list[Suite], accelerator: Accelerator) -> bool | None:
    """Whether all of ``chosen`` passed on ``kernel``; None if the guest did not start."""
    slower = SLOWER if accelerator == "tcg" else 1
    logs = CACHE / "logs" / kernel.name
    if logs.exists():
        shutil.rmtree(logs)
    logs.mkdir(parents=True)
    plan = Plan(chosen, seconds_per_test=300 * slower, seconds_per_suite=1200 * slower)
    (logs / "plan.json").write_bytes(msgspec.json.encode(plan))
    # A copy: what is edited meanwhile would reach the guest in part.
    project = logs / "project"
    shutil.copytree(PROJECT, project, symlinks=True, ignore=shutil.ignore_patterns(".*", "target", "dist"))
    settings = {"PROJECT": str(project), "PYTHON": sys.executable, "MODULES": str(kernel.modules)}
    (logs / "initramfs").write_bytes(initramfs(kernel, settings))
    scratch = logs / "scratch"
    with open(scratch, "wb") as disk:
        disk.truncate(machine.SCRATCH_BYTES)
    missing = {suite.name for suite in chosen}
    started = False
    try:
        began = time.monotonic()
        said = machine.lines(
            machine.command(kernel, accelerator, logs),
            logs / "qemu.log",
            first_seconds=30 * slower,
            seconds=plan.seconds_per_suite + 60,
        )
        for line in said:
            message = msgspec.json.decode(line, type=Started | Verdict | Failed)
            started = True
            now = time.monotonic()
            if isinstance(message, Verdict):
                show(kernel, message, now - began)
                if message.status == 0:
                    missing.remove(message.suite)
            elif isinstance(message, Failed):
                print(f"{kernel.name:5} {message.why}", flush=True)
            else:
                print(f"{kernel.name:5} {message.release}, {accelerator}, started in {now - began:.1f} s", flush=True)
            began = now
        if not started:
            print(f"{kernel.name:5} the guest ended before it said anything; logs: {logs}", flush=True)
    except machine.SilentError as error:
        print(f"{kernel.name:5} {error}; logs: {logs}", flush=True)
    finally:
        scratch.unlink()
    if not started:
        return None
    if missing:
        print(f"{kernel.name:5} not passed: {', '.join(sorted(missing))}; logs: {logs}", flush=True)
    return not missing


def show(kernel: Kernel, verdict: Verdict, seconds: float) -> None:
    """One line a suite, and one a failure."""
    state = {0: "ok", TOO_LONG: "stopped after too long"}.get(verdict.status, f"FAILED ({verdict.status})")
    print(f"{kernel.name:5} {verdict.suite:12} {state}: {verdict.summary} [{seconds:.0f} s]", flush=True)
    for failure in verdict.failures:
        print(f"      {failure}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
