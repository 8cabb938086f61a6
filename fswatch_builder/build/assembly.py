"""From a finished stage to an image document."""

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from fswatch_builder.model.image import History, Image, Layer, RunConfig
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.readable import readable

COMMENT = "buildkit.dockerfile.v0"


def history_line(created_by: str, *, layer: bool, created: datetime | None) -> History:
    """One of ours. Its time is that of the step, None for configuration: ``assemble`` fills it in."""
    return History(created=created, created_by=readable(created_by), comment=COMMENT, empty_layer=not layer)


def assemble(
    platform: Platform,
    config: RunConfig,
    author: str,
    layers: Sequence[Layer],
    history: Sequence[History],
    inherited: int,
    epoch: int | None,
) -> Image:
    """The image. The first ``inherited`` lines of ``history`` are the base's and keep their times."""
    base, own = history[:inherited], history[inherited:]
    if epoch is not None:
        moment = datetime.fromtimestamp(epoch, UTC)
        own = [replace(line, created=moment) for line in own]
    lines = (*base, *_with_times(base, own))
    created = next((line.created for line in reversed(lines) if line.created is not None), None)
    return Image(platform, config, tuple(layers), lines, created, author)


def _with_times(base: Sequence[History], own: Sequence[History]) -> list[History]:
    """Configuration takes the time of the layer before it, the first ones that of the first new layer.

    Without any new layer it is the base's last time: the same Dockerfile gives the same image tomorrow.
    """
    first = next((line.created for line in own if line.created is not None), None)
    if first is None:
        first = next((line.created for line in reversed(base) if line.created is not None), None)
    filled: list[History] = []
    for line in own:
        first = line.created or first
        filled.append(replace(line, created=first))
    return filled
