"""What one instruction means for the stage so far: variables expanded, nothing done yet.

``translate`` is the whole of it: instruction and state in, step and next state out. History strings are those that
other builders write, so that ``docker history`` reads alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from posixpath import join, normpath

from fswatch_builder.build.environment import Scope, proxy_variables
from fswatch_builder.build.spelling import go_list, ports, stop_signal
from fswatch_builder.dockerfile.expansion import expand, expand_body, expand_words
from fswatch_builder.dockerfile.heredoc import opening
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.image import DEFAULT_PATH, RunConfig
from fswatch_builder.model.instruction import (
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Form,
    Heredoc,
    Instruction,
    Label,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Word,
    Workdir,
)
from fswatch_builder.model.plan import CopySource, MainContext, Plan, Stage
from fswatch_builder.model.step import ConfigStep, CopyAction, DirectoryAction, RootfsStep, RunAction, Step

#: What ``FROM scratch`` starts with.
SCRATCH = RunConfig(working_dir="/")

DEFAULT_SHELL = ("/bin/sh", "-c")

#: Where other builders show a heredoc that starts with ``#!`` in their history, and where its RUN finds it here.
_SHOWN_SCRIPTS = "/dev/pipes"
SCRIPT = "/.heredoc"


@dataclass(frozen=True, slots=True)
class StageState:
    """Configuration and variables after some instructions of a stage."""

    config: RunConfig
    scope: Scope
    cmd_set: bool = False  # a CMD stands in this stage: a later ENTRYPOINT keeps it


def begin(base: RunConfig, inherited: Scope | None = None) -> StageState:
    """Before a stage's first instruction. ``inherited``: the variables of the stage it starts from.

    A base without PATH gets one. The image's own variables go over inherited ARGs; whose names are not declared here.
    """
    config = base
    if "PATH" not in base.environment():
        config = replace(base, env=(*base.env, DEFAULT_PATH))
    variables = {**(inherited.variables if inherited else {}), **config.environment()}
    return StageState(config, Scope(variables))


def translate(instruction: Instruction, state: StageState, stage: Stage, plan: Plan) -> tuple[Step, StageState]:
    """The step that ``instruction`` means here, and the state after it."""
    match instruction:
        case Run():
            return _run(instruction, state, plan)
        case Copy():
            return _copy(instruction, state, stage, plan)
        case Workdir():
            return _workdir(instruction, state, plan)
        case Arg():
            after, created_by = _arg(instruction, state, plan)
        case Env():
            after, created_by = _env(instruction, state, plan)
        case _:
            config, created_by = _configure(instruction, state, plan)
            after = replace(state, config=config, cmd_set=state.cmd_set or isinstance(instruction, Cmd))
    return ConfigStep(instruction.where, instruction.source, created_by, after.config), after


def _arg(instruction: Arg, state: StageState, plan: Plan) -> tuple[StageState, str]:
    scope = state.scope
    shown: list[str] = []
    for name_word, default in instruction.items:
        name = name_word.text
        value: str | None
        if name in plan.build_args:
            value = plan.build_args[name]
        elif default is not None:
            value = expand(default.text, scope.variables, plan.escape)
        else:
            value = plan.global_args.get(name)
        scope = scope.with_declared(name)
        if value is not None:
            scope = scope.with_variable(name, value)
        shown.append(name if value is None else f"{name}={value}")
    return replace(state, scope=scope), "ARG " + " ".join(shown)


def _env(instruction: Env, state: StageState, plan: Plan) -> tuple[StageState, str]:
    pairs = _pairs(instruction.items, state, plan)
    scope, config = state.scope, state.config
    for name, value in pairs:
        scope = scope.with_variable(name, value)
        config = replace(config, env=_with_variable(config.env, name, value))
    return replace(state, scope=scope, config=config), "ENV " + " ".join(f"{k}={v}" for k, v in pairs)


def _configure(instruction: Instruction, state: StageState, plan: Plan) -> tuple[RunConfig, str]:
    config = state.config
    match instruction:
        case Label(items=items):
            pairs = _pairs(items, state, plan)
            return (
                replace(config, labels={**config.labels, **dict(pairs)}),
                "LABEL " + " ".join(f"{k}={v}" for k, v in pairs),
            )
        case Cmd(form=form, argv=argv):
            argv = _command(config, form, argv)
            return replace(config, cmd=argv), f"CMD {go_list(argv)}"
        case Entrypoint(form=form, argv=argv):
            argv = _command(config, form, argv)
            cmd = config.cmd if state.cmd_set else None
            return replace(config, entrypoint=argv or None, cmd=cmd), f"ENTRYPOINT {go_list(argv)}"
        case Expose(ports=words):
            texts = [text for word in words for text in expand_words(word.text, state.scope.variables, plan.escape)]
            found = ports(texts, instruction.where)
            everything = tuple(sorted({*config.exposed_ports, *found}))
            return replace(config, exposed_ports=everything), f"EXPOSE [{' '.join(found)}]"
        case Volume(paths=words):
            paths = [_word(word, state, plan) for word in words]
            if not all(paths):
                raise DockerfileError("VOLUME specified can not be an empty string", where=instruction.where)
            everything = tuple(dict.fromkeys((*config.volumes, *paths)))
            return replace(config, volumes=everything), f"VOLUME [{' '.join(paths)}]"
        case User(name=word):
            user = _word(word, state, plan)
            return replace(config, user=user), f"USER {user}"
        case Stopsignal(signal=word):
            signal = stop_signal(_word(word, state, plan), instruction.where)
            return replace(config, stop_signal=signal), f"STOPSIGNAL {signal}"
        case Shell(argv=argv):
            return replace(config, shell=argv), f"SHELL [{' '.join(argv)}]"
        case _:
            raise DockerfileError(f"{type(instruction).__name__.upper()} is not supported yet", where=instruction.where)


def _run(instruction: Run, state: StageState, plan: Plan) -> tuple[Step, StageState]:
    config, scope = state.config, state.scope
    argv = instruction.argv
    interpreter: tuple[str, ...] | None = None
    if instruction.heredocs and instruction.form == "shell":
        lone = len(instruction.heredocs) == 1 and opening(argv[0].strip()) is not None
        argv = (_with_heredocs(argv[0], instruction.heredocs, lone),)
        interpreter = _interpreter(argv[0]) if lone else None
    script: tuple[str, str] | None = None
    if interpreter is not None:
        script = (SCRIPT, argv[0])
        shown = _command(config, instruction.form, (f"{_SHOWN_SCRIPTS}/{instruction.heredocs[0].name}",))
        argv = (*interpreter, SCRIPT)
    else:
        shown = argv = _command(config, instruction.form, argv)
    action = RunAction(
        argv=argv,
        env=scope.exported(),
        cwd=config.working_dir or "/",
        user=config.user,
        hostname=plan.build_args.get("BUILDKIT_SANDBOX_HOSTNAME"),
        proxies=tuple(
            item for item in proxy_variables(plan.build_args) if item.partition("=")[0] not in scope.variables
        ),
        script=script,
    )
    created_by = " ".join(["RUN", *scope.prefix(), *shown, "# buildkit"])
    return RootfsStep(instruction.where, instruction.source, created_by, config, action), state


def _with_heredocs(text: str, heredocs: tuple[Heredoc, ...], lone: bool) -> str:
    """A lone heredoc is the command itself; with other words the shell gets all of it as it is written."""
    if lone:
        return heredocs[0].body
    return text + "".join(f"\n{heredoc.body}{heredoc.name}" for heredoc in heredocs)


def _interpreter(body: str) -> tuple[str, ...] | None:
    """What a ``#!`` line names, with its one argument, as execve(2) reads it; None without such a line.

    The file itself need not be executable then, and no mount of a RUN has to allow execution but the rootfs.
    """
    first = body.partition("\n")[0]
    if not first.startswith("#!"):
        return None
    words = first[2:].strip(" \t").split(None, 1)
    return tuple(word.rstrip(" \t") for word in words) or None


def _copy(instruction: Copy, state: StageState, stage: Stage, plan: Plan) -> tuple[Step, StageState]:
    source: CopySource = MainContext() if instruction.stage is None else stage.sources[instruction.stage]
    dest = _word(instruction.dest, state, plan)
    chown = _word(instruction.chown, state, plan) if instruction.chown else None
    chmod = _word(instruction.chmod, state, plan) if instruction.chmod else None
    patterns = [_word(item, state, plan) for item in instruction.sources if isinstance(item, Word)]
    documents = tuple(
        (item.name, expand_body(item.body, state.scope.variables) if item.expand else item.body)
        for item in instruction.sources
        if isinstance(item, Heredoc)
    )
    keyword = "ADD" if instruction.add else "COPY"
    for pattern in patterns:
        _refuse_remote(keyword, pattern, instruction)
    shown = [keyword]
    if chown is not None:
        shown.append(f"--chown={chown}")
    if chmod is not None:
        shown.append(f"--chmod={chmod}")
    shown += [*patterns, *(f"<<{name}" for name, _ in documents), dest]
    action = CopyAction(
        add=instruction.add,
        source=source,
        patterns=tuple(patterns),
        dest=_destination(state.config.working_dir or "/", dest),
        documents=documents,
        chown=chown or None,
        chmod=chmod or None,
    )
    created_by = " ".join(shown) + " # buildkit"
    return RootfsStep(instruction.where, instruction.source, created_by, state.config, action), state


def _refuse_remote(keyword: str, pattern: str, instruction: Copy) -> None:
    remote = pattern.startswith(("http://", "https://", "git://", "ssh://", "git@"))
    if not remote:
        return
    if keyword == "COPY":
        raise DockerfileError(
            f"source can't be a URL for COPY: {pattern}", where=instruction.where, hint="fetch it in a RUN"
        )
    raise DockerfileError(
        f"ADD from a URL or a git repository is not supported yet: {pattern}",
        where=instruction.where,
        hint="fetch it in a RUN, or before the build",
    )


def _workdir(instruction: Workdir, state: StageState, plan: Plan) -> tuple[Step, StageState]:
    text = _word(instruction.path, state, plan)
    path = clean(join(state.config.working_dir or "/", text))
    config = replace(state.config, working_dir=path)
    after = replace(state, config=config)
    created_by = f"WORKDIR {path}"
    if path == "/":
        return ConfigStep(instruction.where, instruction.source, created_by, config), after
    action = DirectoryAction(path, config.user)
    return RootfsStep(instruction.where, instruction.source, created_by, config, action), after


def clean(path: str) -> str:
    """Absolute, without ``.``, ``..`` and doubled slashes (normpath keeps two leading ones)."""
    return normpath("/" + path.lstrip("/"))


def _destination(working_dir: str, dest: str) -> str:
    if dest in ("", "."):
        dest = "./"
    path = clean(join(working_dir, dest))
    is_directory = dest.endswith(("/", "/.")) or dest == ".."
    return path + "/" if is_directory and path != "/" else path


def _command(config: RunConfig, form: Form, argv: tuple[str, ...]) -> tuple[str, ...]:
    return (*(config.shell or DEFAULT_SHELL), *argv) if form == "shell" else argv


def _word(word: Word, state: StageState, plan: Plan) -> str:
    return expand(word.text, state.scope.variables, plan.escape)


def _pairs(items: Iterable[tuple[Word, Word]], state: StageState, plan: Plan) -> list[tuple[str, str]]:
    """All of one line sees the variables as they were before it."""
    return [(_word(name, state, plan), _word(value, state, plan)) for name, value in items]


def _with_variable(env: tuple[str, ...], name: str, value: str) -> tuple[str, ...]:
    """Replaced where it stands, else added at the end."""
    item = f"{name}={value}"
    names = [entry.partition("=")[0] for entry in env]
    if name not in names:
        return (*env, item)
    return tuple(item if other == name else entry for other, entry in zip(names, env, strict=True))
