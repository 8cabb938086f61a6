"""Instructions that change the configuration or the variables, and nothing else.

History strings are those that BuildKit writes, so that ``docker history`` reads alike.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from fswatch_builder.build.spelling import go_health, go_list, ports, refuse_bytes, stop_signal
from fswatch_builder.build.state import StageState
from fswatch_builder.dockerfile.expansion import expand_word
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model import image
from fswatch_builder.model.image import RunConfig
from fswatch_builder.model.instruction import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    Stopsignal,
    User,
    Volume,
    Word,
)
from fswatch_builder.model.plan import Plan, Stage


def configure(instruction: Instruction, state: StageState, stage: Stage, plan: Plan) -> tuple[StageState, str | None]:
    """The state after ``instruction``, and its line of history if it has one. Raises DockerfileError."""
    match instruction:
        case Arg():
            return _arg(instruction, state, stage, plan)
        case Env():
            return _env(instruction, state, plan)
        case Maintainer(author=author):
            return replace(state, author=author), f"MAINTAINER {author}"
        case _:
            config, created_by = _config(instruction, state, plan)
            refuse_bytes(created_by or "", instruction.where)
            return replace(state, config=config, cmd_set=state.cmd_set or isinstance(instruction, Cmd)), created_by


def _arg(instruction: Arg, state: StageState, stage: Stage, plan: Plan) -> tuple[StageState, str]:
    scope = state.scope
    shown: list[str] = []
    for name_word, default in instruction.items:
        name = name_word.text
        value: str | None
        if name in plan.build_args:
            value = plan.build_args[name]
        elif default is not None:
            value = replace(state, scope=scope).word(default, plan.escape)
        else:
            value = stage.args.get(name)
        scope = scope.with_argument(name, value)
        shown.append(name if value is None else f"{name}={value}")
    return replace(state, scope=scope), "ARG " + " ".join(shown)


def _env(instruction: Env, state: StageState, plan: Plan) -> tuple[StageState, str]:
    pairs = _pairs(instruction.items, state, plan)
    scope, config = state.scope, state.config
    for name, value in pairs:
        scope = scope.with_variable(name, value)
        config = replace(config, env=_with_variable(config.env, name, value))
    refuse_bytes(_shown(pairs), instruction.where)
    return replace(state, scope=scope, config=config), f"ENV {_shown(pairs)}"


def _config(instruction: Instruction, state: StageState, plan: Plan) -> tuple[RunConfig, str | None]:
    config = state.config
    match instruction:
        case Label(items=items):
            pairs = _pairs(items, state, plan)
            return replace(config, labels={**config.labels, **dict(pairs)}), f"LABEL {_shown(pairs)}"
        case Cmd(form=form, argv=argv):
            argv = state.command(form, argv)
            return replace(config, cmd=argv), f"CMD {go_list(argv)}"
        case Entrypoint(form=form, argv=argv):
            argv = state.command(form, argv)
            cmd = config.cmd if state.cmd_set else None
            return replace(config, entrypoint=argv or None, cmd=cmd), f"ENTRYPOINT {go_list(argv)}"
        case Expose():
            found = _ports(instruction, state, plan)
            everything = tuple(sorted({*config.exposed_ports, *found}))
            return replace(config, exposed_ports=everything), f"EXPOSE [{' '.join(found)}]"
        case Volume(paths=words):
            paths = [state.word(word, plan.escape) for word in words]
            if not all(paths):
                raise DockerfileError("VOLUME specified can not be an empty string", where=instruction.where)
            everything = tuple(dict.fromkeys((*config.volumes, *paths)))
            return replace(config, volumes=everything), f"VOLUME [{' '.join(paths)}]"
        case User(name=word):
            user = state.word(word, plan.escape)
            return replace(config, user=user), f"USER {user}"
        case Stopsignal(signal=word):
            signal = stop_signal(state.word(word, plan.escape), word.where)
            return replace(config, stop_signal=signal), f"STOPSIGNAL {signal}"
        case Shell(argv=argv):
            return replace(config, shell=argv), f"SHELL [{' '.join(argv)}]"
        case Healthcheck():
            health = _health(instruction)
            return replace(config, healthcheck=health), f"HEALTHCHECK {go_health(health)}"
        case Onbuild(trigger=trigger):
            return replace(config, on_build=(*config.on_build, trigger)), None
        case _:
            raise DockerfileError(f"{type(instruction).__name__.upper()} is not supported yet", where=instruction.where)


def _health(instruction: Healthcheck) -> image.Healthcheck:
    kinds = {None: "NONE", "shell": "CMD-SHELL", "exec": "CMD"}
    return image.Healthcheck(
        (kinds[instruction.form], *instruction.argv),
        instruction.interval_ns,
        instruction.timeout_ns,
        instruction.start_period_ns,
        instruction.start_interval_ns,
        instruction.retries,
    )


def _ports(instruction: Expose, state: StageState, plan: Plan) -> list[str]:
    """In the order written."""
    found: list[str] = []
    for word in instruction.ports:
        for text in expand_word(word, state.scope.variables, plan.escape).words:
            found += ports(text, word.where)
    return found


def _shown(pairs: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs)


def _pairs(items: Iterable[tuple[Word, Word]], state: StageState, plan: Plan) -> list[tuple[str, str]]:
    """All of one line sees the variables as they were before it."""
    return [(state.word(name, plan.escape), state.word(value, plan.escape)) for name, value in items]


def _with_variable(env: tuple[str, ...], name: str, value: str) -> tuple[str, ...]:
    """Replaced where it stands, else added at the end."""
    item = f"{name}={value}"
    names = [entry.partition("=")[0] for entry in env]
    if name not in names:
        return (*env, item)
    return tuple(item if other == name else entry for other, entry in zip(names, env, strict=True))
