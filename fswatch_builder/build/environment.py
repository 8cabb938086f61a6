"""Which variables an instruction sees, and with what value.

Three layers: global ARGs serve FROM lines and bare ARGs of stages; a stage's ARGs and ENVs share one name space in
which the later line wins; only ENV reaches the image.
"""

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from fswatch_builder.dockerfile.expansion import expand_word
from fswatch_builder.model.instruction import Arg
from fswatch_builder.model.platform import Platform

#: Build arguments that speak to the builder and need no ARG: docs/dockerfile.md has what they do.
BUILDER_ARGS = frozenset(
    f"BUILDKIT_{name}"
    for name in (
        "BUILD_NAME",
        "CACHE_MOUNT_NS",
        "CONTEXT_KEEP_GIT_DIR",
        "DOCKERFILE_CHECK",
        "INLINE_CACHE",
        "MULTI_PLATFORM",
        "SANDBOX_HOSTNAME",
        "SBOM_SCAN_CONTEXT",
        "SBOM_SCAN_STAGE",
        "SYNTAX",
    )
)
#: Those of them that are never a variable, even if an ARG declares them.
_NO_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})

PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


def platform_args(build: Platform, target: Platform, stage: str | None) -> dict[str, str]:
    """The predefined global ARGs; ``stage`` is the target's name."""
    found = {"TARGETSTAGE": stage or "default"}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        found |= {
            f"{prefix}PLATFORM": str(platform),
            f"{prefix}OS": platform.os,
            f"{prefix}OSVERSION": "",
            f"{prefix}ARCH": platform.architecture,
            f"{prefix}VARIANT": platform.variant,
        }
    return found


def proxy_variables(build_args: Mapping[str, str]) -> tuple[str, ...]:
    """Proxies given as build arguments, in both spellings of their names: for RUN, in no key or history."""
    found: dict[str, str] = {}
    for name, value in build_args.items():
        if name.upper() in PROXY_NAMES:
            found.setdefault(name.upper(), value)
            found.setdefault(name.lower(), value)
            found[name] = value
    return tuple(f"{name}={value}" for name, value in sorted(found.items()))


def add_global(known: Mapping[str, str], arg: Arg, build_args: Mapping[str, str], escape: str) -> dict[str, str]:
    """The global ARGs after one more ARG line. A build argument's value is used as it is, its default never looked
    at.
    """
    found = dict(known)
    for name_word, default in arg.items:
        name = name_word.text
        if name in build_args:
            found[name] = build_args[name]
        elif default is not None:
            found[name] = expand_word(default, found, escape).text
    return found


class Scope(Struct, frozen=True):
    """The variables of a stage at one of its lines.

    ``variables`` has ENV and ARG values in the order they came to be; ``declared`` the ARG names in the order of
    their first line, with those that have no value.
    """

    variables: Mapping[str, str]
    declared: tuple[str, ...] = ()
    unset: Mapping[str, str] = field(default_factory=dict)  # values of ARGs that are no variables

    def with_variable(self, name: str, value: str) -> "Scope":
        """After ENV."""
        return replace(self, variables={**self.variables, name: value})

    def with_argument(self, name: str, value: str | None) -> "Scope":
        """After an ARG, with its value if it has one; said twice it keeps its place."""
        scope = self if name in self.declared else replace(self, declared=(*self.declared, name))
        if value is None:
            return scope
        if name in _NO_VARIABLES:
            return replace(scope, unset={**self.unset, name: value})
        return scope.with_variable(name, value)

    def prefix(self) -> list[str]:
        """How the history of a RUN names the ARGs it sees: ``|N a=1 b=``."""
        if not self.declared:
            return []
        values = {**self.unset, **self.variables}
        return [f"|{len(self.declared)}", *(f"{name}={values.get(name, '')}" for name in self.declared)]

    def exported(self) -> tuple[str, ...]:
        """As a process gets them."""
        return tuple(f"{name}={value}" for name, value in self.variables.items())
