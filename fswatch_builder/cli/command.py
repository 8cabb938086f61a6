"""How options are written: as docker takes them, and with the reason where docker has one that is not there."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from typer.core import TyperCommand, TyperOption

RUN_FAILED: Final = 125
"""Docker's: ``run`` itself has failed, not the command."""
_BOOLEANS: Final = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


class Command(TyperCommand):
    """A command that takes ``--pull=false`` of an option without a value, and refuses docker's others by name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As every command does. What ``--name=false`` says goes before an environment variable."""
        said: dict[str, bool] = {}
        try:
            rest = super().parse_args(ctx, list(self._without_booleans(ctx, args, said)))
        except Exception as error:
            from fswatch_builder.cli.refused import REFUSED

            reason = REFUSED.get(self.name or "", {}).get(getattr(error, "option_name", None) or "")
            if reason is not None:
                error.message = f"{error.option_name}: {reason}"  # type: ignore[attr-defined]
                error.possibilities = None  # type: ignore[attr-defined]
            raise
        ctx.params.update(said)
        return rest

    def _without_booleans(self, ctx: Any, args: list[str], said: dict[str, bool]) -> Iterator[str]:
        """The arguments but for ``--name=true`` and ``--name=false``, of which the last goes to ``said``. What is
        behind the options of a command that takes the rest is not ours.
        """
        flags, valued = self._names(flag=True), self._names(flag=False)
        waiting = iter(args)
        for argument in waiting:
            if argument == "--" or not (argument.startswith("-") or ctx.allow_interspersed_args):
                yield from (argument, *waiting)
                return
            name, _, value = argument.partition("=")
            if name in flags and value.lower() in _BOOLEANS:
                said[flags[name]] = _BOOLEANS[value.lower()]
                continue
            said.pop(flags.get(argument, ""), None)
            yield argument
            if _ends_with(argument, valued):
                yield from islice(waiting, 1)

    def _names(self, *, flag: bool) -> dict[str, str]:
        """The parameters of options that take no value, or one, by all their names."""
        return {
            name: parameter.name or ""
            for parameter in self.params
            if isinstance(parameter, TyperOption) and parameter.is_flag == flag
            for name in (*parameter.opts, *parameter.secondary_opts)
        }


class RunCommand(Command):
    """``run``, whose own failures have a status that no command should have (docker's: 125)."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As ``Command``."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            error.exit_code = RUN_FAILED  # type: ignore[attr-defined]
            raise


def _ends_with(argument: str, valued: dict[str, str]) -> bool:
    """Whether an option that takes a value stands at its end: ``--env``, ``-e``, ``-ite``; ``-eA=1`` has the value."""
    if argument.startswith("--") or argument in ("", "-"):
        return argument in valued
    for at, letter in enumerate(argument[1:], 2):
        if f"-{letter}" in valued:
            return at == len(argument)
    return False
