"""Options of ``docker buildx build`` and ``buildah build`` that are refused, each with the reason: nobody has to guess.

Who makes one work takes it out of here and puts it into ``options``. The lists of what the others have are in
``tests/unit/cli/test_build_flags.py``, which holds all of it together.
"""

from collections.abc import Mapping
from typing import Any, Final

from typer.core import TyperCommand

_BOOLEANS: Final = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}

_NOT_YET: Final = "not supported yet"
_CACHE: Final = f"{_NOT_YET}: the step cache is the one in the local store (--store)"
_ATTESTATIONS: Final = f"{_NOT_YET}: no attestation is made"
_RUN: Final = f"{_NOT_YET}: a RUN has the sandbox's own settings (docs/security.md)"
_LIMITS: Final = f"{_NOT_YET}: start the builder itself in a cgroup with limits, such as with systemd-run"
_NO_DAEMON: Final = "there is no daemon and no builder instance: the build runs in this process"
_REGISTRY: Final = f"{_NOT_YET}: registries are spoken to with the settings of ~/.docker/config.json"

REFUSED: Final[Mapping[str, str]] = {
    # docker buildx build
    "--attest": _ATTESTATIONS,
    "--builder": _NO_DAEMON,
    "--cache-from": _CACHE,
    "--cache-to": _CACHE,
    "--cgroup-parent": _LIMITS,
    "--debug": "there is no debugger: --progress plain tells all steps, --audit checks them",
    "-D": "there is no debugger: --progress plain tells all steps, --audit checks them",
    "--policy": f"{_NOT_YET}: sources are not checked against a policy",
    "--push": f"{_NOT_YET}: give -o type=oci,dest=image.tar and push that, with skopeo copy for one",
    # docker build, from the time before BuildKit
    "--compress": "there is no daemon to send the context to",
    "--cpu-period": _LIMITS,
    "--cpu-quota": _LIMITS,
    "--cpu-shares": _LIMITS,
    "-c": _LIMITS,
    "--cpuset-cpus": _LIMITS,
    "--cpuset-mems": _LIMITS,
    "--isolation": "a RUN is isolated in one way: namespaces and Docker's capabilities (docs/security.md)",
    "--memory": _LIMITS,
    "-m": _LIMITS,
    "--memory-swap": _LIMITS,
    "--security-opt": _RUN,
    # buildah build
    "--authfile": _REGISTRY,
    "--cap-add": f"{_NOT_YET}: a RUN has Docker's capabilities",
    "--cap-drop": f"{_NOT_YET}: a RUN has Docker's capabilities",
    "--cert-dir": _REGISTRY,
    "--cpp-flag": "a Dockerfile is not run through a preprocessor",
    "--creds": _REGISTRY,
    "--decryption-key": f"{_NOT_YET}: encrypted images are not read",
    "--device": _RUN,
    "--dns": _RUN,
    "--env": "a Dockerfile says ENV, a build --build-arg",
    "--format": "images are OCI ones; -o type=docker writes an archive for docker load",
    "--logfile": "progress goes to standard error: redirect it",
    "--manifest": "several platforms make an index by themselves: --platform A,B -t NAME",
    "--sign-by": f"{_NOT_YET}: images are not signed",
    "--tls-verify": _REGISTRY,
    "--unsetenv": "give a later ENV line, or a base without the variable",
    "--userns": _RUN,
    "--volume": "what a RUN may see is said in the Dockerfile: COPY it, or RUN --mount",
    "-v": "what a RUN may see is said in the Dockerfile: COPY it, or RUN --mount",
}


class BuildCommand(TyperCommand):
    """A command that says why it has not an option, rather than that there is none."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As every command does; ``--pull=true`` and ``--pull=false`` are taken too, as docker takes them."""
        try:
            return super().parse_args(ctx, self._without_booleans(args))
        except Exception as error:
            reason = REFUSED.get(getattr(error, "option_name", None) or "")
            if reason is not None:
                error.message = f"{error.option_name}: {reason}"  # type: ignore[attr-defined]
                error.possibilities = None  # type: ignore[attr-defined]
            raise

    def _without_booleans(self, args: list[str]) -> list[str]:
        flags = {name for parameter in self.params if getattr(parameter, "is_flag", False) for name in parameter.opts}
        kept: list[str] = []
        for position, argument in enumerate(args):
            if argument == "--":
                return kept + args[position:]
            name, _, value = argument.partition("=")
            if name not in flags or value.lower() not in _BOOLEANS:
                kept.append(argument)
            elif _BOOLEANS[value.lower()]:
                kept.append(name)
        return kept
