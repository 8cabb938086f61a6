"""One instruction of a stage, variables expanded: either it only changes the configuration, or it works on the
rootfs.
"""

from msgspec import Struct, field

from fswatch_builder.errors import Location
from fswatch_builder.model.image import RunConfig
from fswatch_builder.model.mount import CacheMount, Mount, SecretMount, SshMount
from fswatch_builder.model.plan import CopySource
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.remote import Remote
from fswatch_builder.model.sandbox import Network, SandboxOptions, Security


class RunAction(Struct, frozen=True):
    """Run a command, of programs for ``platform``. ``env`` holds the image's variables and the ARGs it sees;
    ``proxies`` are set too but are in no key. ``cache_namespace`` keeps the cache mounts of builds apart.
    """

    platform: Platform
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    hostname: str | None = None
    proxies: tuple[str, ...] = ()
    script: tuple[str, str] | None = None  # absolute path and text of a ``#!`` heredoc, there for this run only
    mounts: tuple[Mount, ...] = ()
    cache_namespace: str = ""
    network: Network = "default"
    security: Security = "sandbox"
    options: SandboxOptions = field(default_factory=SandboxOptions)

    @property
    def leaves_traces(self) -> bool:
        """Whether what it does stays when its root file system is thrown away: what it was lent, or has power over."""
        lent = any(isinstance(mount, CacheMount | SecretMount | SshMount) for mount in self.mounts)
        return lent or self.security == "insecure"


class CopyAction(Struct, frozen=True):
    """Copy files. ``dest`` is absolute; a trailing slash says that it is a directory.

    ``words`` name what to take, in order: text is a path or pattern in ``source``, the others are fetched (ADD).
    ``unpack``: whether an archive is extracted; None: if it is of ``source``. ``link``: as if onto an empty root file
    system, which is then laid over the one there is.
    """

    add: bool
    source: CopySource
    words: tuple[str | Remote, ...]
    dest: str
    documents: tuple[tuple[str, str], ...] = ()  # heredocs: name, text
    chown: str | None = None
    chmod: str | None = None
    exclude: tuple[str, ...] = ()
    parents: bool = False
    link: bool = False
    unpack: bool | None = None

    def extracts(self, word: str | Remote) -> bool:
        """Whether ``word`` is extracted if it is an archive."""
        return self.add and (isinstance(word, str) if self.unpack is None else self.unpack)


class DirectoryAction(Struct, frozen=True):
    """WORKDIR: make a directory where there is none, owned by ``user``. ``path`` is absolute and clean."""

    path: str
    user: str


Action = RunAction | CopyAction | DirectoryAction


class ConfigStep(Struct, frozen=True):
    """Configuration to configuration: the rootfs stays as it is. ONBUILD leaves no line in the history."""

    where: Location
    title: str
    created_by: str | None
    config: RunConfig


class RootfsStep(Struct, frozen=True):
    """May give a layer. ``config`` is the configuration after it (WORKDIR changes both)."""

    where: Location
    title: str
    created_by: str
    config: RunConfig
    action: Action


Step = ConfigStep | RootfsStep
