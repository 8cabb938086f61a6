"""What one instruction means for the stage so far: variables expanded, nothing done yet.

``translate`` is the whole of it: instruction and state in, step and next state out. History strings are those that
other builders write, so that ``docker history`` reads alike.
"""

from collections.abc import Iterable
from posixpath import join

from msgspec.structs import replace

from fswatch_builder.build.configure import configure
from fswatch_builder.build.copies import clean, copy_action
from fswatch_builder.build.entitlements import network, security
from fswatch_builder.build.environment import Scope, proxy_variables
from fswatch_builder.build.spelling import refuse_bytes
from fswatch_builder.build.state import StageState
from fswatch_builder.dockerfile.heredoc import opening
from fswatch_builder.dockerfile.mounts import Surroundings, read_mounts
from fswatch_builder.model.instruction import Copy, Heredoc, Instruction, Run, Workdir
from fswatch_builder.model.mount import CacheMount, Mount, SshMount
from fswatch_builder.model.plan import CopySource, MainContext, Plan, Stage
from fswatch_builder.model.step import ConfigStep, DirectoryAction, RootfsStep, RunAction, Step

#: Where other builders show a heredoc that starts with ``#!`` in their history, and where its RUN finds it here.
_SHOWN_SCRIPTS = "/dev/pipes"
SCRIPT = "/.heredoc"


def translate(instruction: Instruction, state: StageState, stage: Stage, plan: Plan) -> tuple[Step, StageState]:
    """The step that ``instruction`` means here, and the state after it."""
    match instruction:
        case Run():
            return _run(instruction, state, stage, plan)
        case Copy():
            return _copy(instruction, state, stage, plan)
        case Workdir():
            return _workdir(instruction, state, plan)
        case _:
            after, created_by = configure(instruction, state, stage, plan)
    return ConfigStep(instruction.where, instruction.source, created_by, after.config), after


def _run(instruction: Run, state: StageState, stage: Stage, plan: Plan) -> tuple[Step, StageState]:
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
        shown = state.command(instruction.form, (f"{_SHOWN_SCRIPTS}/{instruction.heredocs[0].name}",))
        argv = (*interpreter, SCRIPT)
    else:
        shown = argv = state.command(instruction.form, argv)
    around = Surroundings(scope.variables, plan.escape, config.working_dir or "/", stage.mount_sources)
    mounts = read_mounts(instruction.mounts, around)
    action = RunAction(
        platform=stage.platform,
        argv=argv,
        env=(*scope.exported(), *_agent_variable(mounts, scope)),
        cwd=config.working_dir or "/",
        user=config.user,
        hostname=plan.build_args.get("BUILDKIT_SANDBOX_HOSTNAME"),
        proxies=tuple(
            item for item in proxy_variables(plan.build_args) if item.partition("=")[0] not in scope.variables
        ),
        script=script,
        mounts=mounts,
        cache_namespace=_cache_namespace(mounts, plan),
        network=network(instruction.network, plan.sandbox),
        security=security(instruction.security, plan.sandbox),
        options=plan.sandbox,
    )
    created_by = " ".join(["RUN", *scope.prefix(), *shown, "# buildkit"])
    return RootfsStep(instruction.where, instruction.source, created_by, config, action), state


def _cache_namespace(mounts: Iterable[Mount], plan: Plan) -> str:
    """Of caches alone: who has none does not depend on it."""
    named = plan.build_args.get("BUILDKIT_CACHE_MOUNT_NS", "")
    return named if any(isinstance(mount, CacheMount) for mount in mounts) else ""


def _agent_variable(mounts: Iterable[Mount], scope: Scope) -> tuple[str, ...]:
    """Where programs look for the first SSH agent, unless the image says where."""
    targets = [mount.target for mount in mounts if isinstance(mount, SshMount)]
    if not targets or "SSH_AUTH_SOCK" in scope.variables:
        return ()
    return (f"SSH_AUTH_SOCK={targets[0]}",)


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
    action, created_by = copy_action(
        instruction, source, state.scope.variables, state.config.working_dir or "/", plan.escape
    )
    return RootfsStep(instruction.where, instruction.source, created_by, state.config, action), state


def _workdir(instruction: Workdir, state: StageState, plan: Plan) -> tuple[Step, StageState]:
    text = state.word(instruction.path, plan.escape)
    path = clean(join(state.config.working_dir or "/", text))
    refuse_bytes(path, instruction.where)
    config = replace(state.config, working_dir=path)
    after = replace(state, config=config, workdir_set=True)
    created_by = f"WORKDIR {path}"
    if path == "/":
        return ConfigStep(instruction.where, instruction.source, created_by, config), after
    action = DirectoryAction(path, config.user)
    return RootfsStep(instruction.where, instruction.source, created_by, config, action), after
