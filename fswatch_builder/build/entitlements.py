"""What a RUN may have only if the command line allows it: the host's network in so many words, and no sandbox."""

from difflib import get_close_matches

from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.instruction import Word
from fswatch_builder.model.sandbox import NETWORK_HOST, SECURITY_INSECURE, Network, SandboxOptions, Security


def network(word: Word | None, options: SandboxOptions) -> Network:
    """Of a RUN: its ``--network``, else that of the command line, which allows itself. Raises DockerfileError."""
    match "default" if word is None else word.text:
        case "default" | "":
            return options.network
        case "none":
            return "none"
        case "host":
            _demand(NETWORK_HOST, word, options)
            return "host"
        case other:
            raise _invalid("network", other, word, ("default", "none", "host"))


def security(word: Word | None, options: SandboxOptions) -> Security:
    """Of a RUN: its ``--security``. Raises DockerfileError."""
    match "sandbox" if word is None else word.text:
        case "sandbox" | "":
            return "sandbox"
        case "insecure":
            _demand(SECURITY_INSECURE, word, options)
            return "insecure"
        case other:
            raise _invalid("security", other, word, ("sandbox", "insecure"))


def _demand(name: str, word: Word | None, options: SandboxOptions) -> None:
    if name not in options.allowed:
        reason = {
            NETWORK_HOST: "it asks for the network of this machine",
            SECURITY_INSECURE: "it asks for root's full power over this machine",
        }[name]
        raise DockerfileError(
            f"entitlement {name} is not allowed: {reason}",
            where=None if word is None else word.where,
            hint=f"if that is what you want: --allow {name}",
        )


def _invalid(what: str, text: str, word: Word | None, known: tuple[str, ...]) -> DockerfileError:
    near = get_close_matches(text, known, n=1)
    return DockerfileError(
        f'invalid {what} mode "{text}"',
        where=None if word is None else word.where,
        hint=f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}",
    )
