"""--squash: what several layers did, as one: the net difference, without what one brought and another removed."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.build import keys
from fswatch_builder.build.cache import StepCache
from fswatch_builder.build.events import Events, WorkStarted
from fswatch_builder.model.image import History, Image, Layer
from fswatch_builder.oci.compression import Compression

if TYPE_CHECKING:
    from fswatch_builder._native import Baseline
    from fswatch_builder.build.worksite import Worksite


class Squash(Struct, frozen=True):
    """Turns all layers above the first ``kept`` into one. Times in it are no later than ``max_mtime`` (seconds)."""

    kept: int
    compression: Compression
    max_mtime: int | None

    def apply(self, image: Image, cache: StepCache, events: Events) -> Image:
        """The image with its layers squashed; unchanged if there is only one."""
        above = image.layers[self.kept :]
        if len(above) < 2:
            return image
        key = keys.squash_key(keys.chain_of(layer.diff_id for layer in image.layers), self.kept, self.max_mtime)
        hit = cache.find(key)
        created = _last_time(image.history)
        if hit is not None:
            layer = hit.layer
        else:
            events.emit(WorkStarted(f"squashing {len(above)} layers into one"))
            layer = self._pack(image.layers, cache)
            cache.record(key, layer, created or datetime.fromtimestamp(0, UTC))
        layers = image.layers[: self.kept] if layer is None else (*image.layers[: self.kept], layer)
        line = History(
            created=created, created_by=f"# {len(above)} layers squashed into one", empty_layer=layer is None
        )
        return replace(image, layers=layers, history=(*_emptied(image.history, self.kept), line))

    def _pack(self, layers: Sequence[Layer], cache: StepCache) -> Layer | None:
        from fswatch_builder._native import HintSet
        from fswatch_builder.build.worksite import Worksite
        from fswatch_builder.layering.writer import write_layer

        with Worksite(cache.store, "scan") as site:
            site.bring_to(layers[: self.kept])
            before = _kept_baseline(site)
            site.bring_to(layers)
            everywhere = HintSet()
            everywhere.add(b"", "subtree")
            changes = before.reconcile(site.rootfs, everywhere)
            if not len(changes):
                return None
            return write_layer(site.rootfs, before, changes, cache.store, self.compression, self.max_mtime).layer


def _kept_baseline(site: "Worksite") -> "Baseline":
    """The state as it is now, while the worksite's own baseline goes on."""
    from fswatch_builder._native import Baseline

    path = os.fsencode(os.path.join(site.directory, "before"))
    site.baseline.save(path)
    return Baseline.open(path)


def _emptied(history: Sequence[History], kept: int) -> list[History]:
    """The lines, those of squashed layers without a layer of their own now."""
    lines, seen = [], 0
    for line in history:
        seen += not line.empty_layer
        lines.append(line if line.empty_layer or seen <= kept else replace(line, empty_layer=True))
    return lines


def _last_time(history: Sequence[History]) -> datetime | None:
    return next((line.created for line in reversed(history) if line.created is not None), None)
