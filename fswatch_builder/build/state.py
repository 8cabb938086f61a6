"""The configuration and the variables of a stage, from one instruction to the next."""

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.build.environment import Scope
from fswatch_builder.dockerfile.expansion import expand_word
from fswatch_builder.model.image import DEFAULT_PATH, RunConfig
from fswatch_builder.model.instruction import Form, Word

#: What ``FROM scratch`` starts with.
SCRATCH = RunConfig(working_dir="/")

DEFAULT_SHELL = ("/bin/sh", "-c")


class StageState(Struct, frozen=True):
    """After some instructions of a stage. ``author`` is the image's, by MAINTAINER."""

    config: RunConfig
    scope: Scope
    author: str = ""
    cmd_set: bool = False  # a CMD stands in this stage: a later ENTRYPOINT keeps it
    workdir_set: bool = False  # a WORKDIR stands in this Dockerfile

    def word(self, word: Word, escape: str) -> str:
        """A word with its variables replaced. Raises DockerfileError that knows the word's place."""
        return expand_word(word, self.scope.variables, escape).text

    def command(self, form: Form, argv: tuple[str, ...]) -> tuple[str, ...]:
        """What is executed: the shell form goes to the SHELL in force."""
        return (*(self.config.shell or DEFAULT_SHELL), *argv) if form == "shell" else argv


def begin(base: RunConfig, author: str = "") -> StageState:
    """Before the first instruction of a stage that starts from an image, or from scratch.

    A base without PATH gets one. The triggers it has are instructions of the stage now, and nobody's any more.
    """
    config = replace(base, on_build=())
    if "PATH" not in base.environment():
        config = replace(config, env=(*base.env, DEFAULT_PATH))
    return StageState(config, Scope(config.environment()), author)


def inherit(parent: StageState) -> StageState:
    """Before the first instruction of a stage that starts from another one: that one's ARGs too are seen, but its
    image's own variables go over them.
    """
    config = replace(parent.config, on_build=())
    scope = replace(parent.scope, variables={**parent.scope.variables, **config.environment()})
    return replace(parent, config=config, scope=scope, cmd_set=False)
