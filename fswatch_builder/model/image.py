"""Image documents: a configuration and a stack of layers. Field names follow the OCI image spec in snake case."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from fswatch_builder.model.digest import ChainID, DiffID, Digest
from fswatch_builder.model.platform import Platform

#: What a process gets when neither base nor Dockerfile says otherwise.
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Descriptor(Struct, frozen=True):
    """Names one blob. Invariant: ``size`` is in bytes and not negative."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"descriptor of {self.digest} has negative size {self.size}")


class Layer(Struct, frozen=True):
    """One layer: the blob as stored (``descriptor``, over the compressed bytes) and the tar it holds (``diff_id``)."""

    descriptor: Descriptor
    diff_id: DiffID


class History(Struct, frozen=True):
    """One line of ``docker history``. A line with ``empty_layer`` has no layer of its own."""

    created: datetime | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class Healthcheck(Struct, frozen=True):
    """Durations in nanoseconds; 0 inherits."""

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class RunConfig(Struct, frozen=True):
    """How a container of the image runs, the ``config`` object. ``None`` and empty differ for cmd and entrypoint."""

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None

    def environment(self) -> dict[str, str]:
        """``env`` as a mapping; the last of two equal names wins."""
        pairs = (item.partition("=") for item in self.env)
        return {name: value for name, _, value in pairs}


class Image(Struct, frozen=True):
    """An image: what it is for, how it runs, its layers from the bottom up, and how it came to be.

    Invariant: as many history lines without ``empty_layer`` as layers, or no history at all.
    """

    platform: Platform
    config: RunConfig = RunConfig()
    layers: tuple[Layer, ...] = ()
    history: tuple[History, ...] = ()
    created: datetime | None = None
    author: str = ""

    def __post_init__(self) -> None:
        with_layer = sum(not line.empty_layer for line in self.history)
        if self.history and with_layer != len(self.layers):
            raise ValueError(f"history speaks of {with_layer} layers, the image has {len(self.layers)}")

    @property
    def chain_id(self) -> ChainID | None:
        """The state of its root file system; None for no layers."""
        chain: ChainID | None = None
        for layer in self.layers:
            chain = ChainID.over(chain, layer.diff_id)
        return chain

    def with_config(self, config: RunConfig) -> "Image":
        """The same image run differently."""
        return replace(self, config=config)
