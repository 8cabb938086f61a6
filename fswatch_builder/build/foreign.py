"""RUNs for other machines: whether they can be done here is asked before the first step is, not in the middle."""

from collections.abc import Iterable

from fswatch_builder.build.progress import Steps
from fswatch_builder.errors import Location, SandboxError
from fswatch_builder.model.instruction import Run
from fswatch_builder.model.plan import Stage
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.store import Store
from fswatch_builder.runtime.emulation import Emulation, prepare


def emulations(stages: Iterable[Stage], store: Store, steps: Steps) -> dict[Platform, Emulation]:
    """What the RUNs in ``stages`` take that the kernel does not do by itself. Raises a SandboxError about the first one
    for a machine whose programs cannot be executed here.
    """
    first: dict[Platform, Location] = {}
    for stage in stages:
        for instruction in stage.instructions:
            if isinstance(instruction, Run):
                first.setdefault(stage.platform, instruction.where)
    found: dict[Platform, Emulation] = {}
    for platform, where in first.items():
        with store.workspace() as directory:
            try:
                emulation = prepare(platform, directory)
            except SandboxError as error:
                raise error.at(where) from error
        if emulation is not None:
            steps.note(f"programs for {platform} are run by {emulation.path}, registered for this build alone")
            found[platform] = emulation
    return found
