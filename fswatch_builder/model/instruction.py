"""Dockerfile instructions as values. They say what stands in the file, before variables are expanded.

One type an instruction; every one knows where it stands and how it was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fswatch_builder.errors import Location


@dataclass(frozen=True, slots=True)
class Word:
    """One argument as written, quotes and variables included, and where it stands."""

    text: str
    where: Location

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Heredoc:
    """``<<NAME`` and its lines. ``expand`` is False for a quoted delimiter."""

    name: str
    body: str
    expand: bool
    chomp: bool = False  # <<-: leading tabs are gone from ``body`` already
    fd: int = 0


@dataclass(frozen=True, slots=True)
class Instruction:
    """What all instructions share. ``source`` is the logical line as written, continuations joined."""

    where: Location
    source: str


@dataclass(frozen=True, slots=True)
class From(Instruction):
    """``FROM [--platform=P] BASE [AS NAME]``."""

    base: Word
    name: str | None = None  # lower-cased
    platform: Word | None = None
    comments: tuple[str, ...] = ()  # the lines right above: one that begins with the name describes the stage


@dataclass(frozen=True, slots=True)
class Arg(Instruction):
    """``ARG NAME[=DEFAULT] ...``: pairs in the order written; None: no default."""

    items: tuple[tuple[Word, Word | None], ...]
    comments: tuple[str, ...] = ()  # the lines right above: one that begins with a name describes it


@dataclass(frozen=True, slots=True)
class Env(Instruction):
    """``ENV K=V ...`` or ``ENV K V`` (``legacy``)."""

    items: tuple[tuple[Word, Word], ...]
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Label(Instruction):
    """``LABEL K=V ...`` or ``LABEL K V`` (``legacy``)."""

    items: tuple[tuple[Word, Word], ...]
    legacy: bool = False


#: A command is one shell string or an exec list.
Form = Literal["shell", "exec"]


@dataclass(frozen=True, slots=True)
class Run(Instruction):
    """``RUN``: ``argv`` has one element in shell form. The values of flags are as written."""

    form: Form
    argv: tuple[str, ...]
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[Word, ...] = ()  # --mount
    network: Word | None = None
    security: Word | None = None
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the others


@dataclass(frozen=True, slots=True)
class Copy(Instruction):
    """``COPY`` and ``ADD`` (``add``): sources and destination as written. A source may be a heredoc. A flag that is not
    there is None.
    """

    add: bool
    sources: tuple[Word | Heredoc, ...]
    dest: Word
    stage: str | None = None  # --from
    chown: Word | None = None
    chmod: Word | None = None
    exclude: tuple[str, ...] = ()
    link: bool | None = None
    parents: bool | None = None
    unpack: bool | None = None
    keep_git_dir: bool | None = None
    checksum: Word | None = None


@dataclass(frozen=True, slots=True)
class Workdir(Instruction):
    """``WORKDIR PATH``."""

    path: Word


@dataclass(frozen=True, slots=True)
class User(Instruction):
    """``USER NAME[:GROUP]``."""

    name: Word


@dataclass(frozen=True, slots=True)
class Cmd(Instruction):
    """``CMD``."""

    form: Form
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entrypoint(Instruction):
    """``ENTRYPOINT``."""

    form: Form
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    """``EXPOSE PORT[-PORT][/PROTO] ...``."""

    ports: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Volume(Instruction):
    """``VOLUME PATH ...``."""

    paths: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Stopsignal(Instruction):
    """``STOPSIGNAL SIGNAL``."""

    signal: Word


@dataclass(frozen=True, slots=True)
class Shell(Instruction):
    """``SHELL ["..."]``."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    """``HEALTHCHECK NONE`` (``form`` is None) or ``HEALTHCHECK [OPTIONS] CMD``. In nanoseconds; 0: the default."""

    form: Form | None
    argv: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Onbuild(Instruction):
    """``ONBUILD TRIGGER``: the trigger as text, its heredocs included, for a stage that starts from the image."""

    trigger: str


@dataclass(frozen=True, slots=True)
class Maintainer(Instruction):
    """``MAINTAINER AUTHOR``."""

    author: str


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - the language's own word
    """A lint finding: the rule's name as in BuildKit's build checks, and a sentence."""

    rule: str
    message: str
    where: Location


@dataclass(frozen=True, slots=True)
class Checks:
    """What ``# check=`` says: at the top for the whole file, in a comment right above an instruction for it alone."""

    skip: frozenset[str] = frozenset()  # rules, or all
    skip_at: Mapping[int, frozenset[str]] = field(default_factory=dict)  # by an instruction's first line
    fail: bool = False  # a finding ends the build

    def reports(self, rule: str, line: int) -> bool:
        """Whether a finding at the instruction on this line is wanted."""
        return not (self.skip | self.skip_at.get(line, frozenset())) & {"all", rule}


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed file: global ARGs and all stages' instructions in order, directives, warnings.

    Invariant: every instruction before the first From is an Arg.
    """

    name: str
    instructions: tuple[Instruction, ...]
    escape: str = "\\"
    directives: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Warning, ...] = ()
    checks: Checks = field(default_factory=Checks)
