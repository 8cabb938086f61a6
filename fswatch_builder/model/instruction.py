"""Dockerfile instructions as values. They say what stands in the file, before variables are expanded.

One type an instruction; every one knows where it stands and how it was written.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from fswatch_builder.errors import Location


class Word(Struct, frozen=True):
    """One argument as written, quotes and variables included, and where it stands."""

    text: str
    where: Location

    def __str__(self) -> str:
        return self.text


class Heredoc(Struct, frozen=True):
    """``<<NAME`` and its lines. ``expand`` is False for a quoted delimiter."""

    name: str
    body: str
    expand: bool
    chomp: bool = False  # <<-: leading tabs are gone from ``body`` already
    fd: int = 0


class Instruction(Struct, frozen=True):
    """What all instructions share. ``source`` is the logical line as written, continuations joined."""

    where: Location
    source: str


class From(Instruction, frozen=True):
    """``FROM [--platform=P] BASE [AS NAME]``."""

    base: Word
    name: str | None = None  # lower-cased
    platform: Word | None = None
    comments: tuple[str, ...] = ()  # the lines right above: one that begins with the name describes the stage


class Arg(Instruction, frozen=True):
    """``ARG NAME[=DEFAULT] ...``: pairs in the order written; None: no default."""

    items: tuple[tuple[Word, Word | None], ...]
    comments: tuple[str, ...] = ()  # the lines right above: one that begins with a name describes it


class Env(Instruction, frozen=True):
    """``ENV K=V ...`` or ``ENV K V`` (``legacy``)."""

    items: tuple[tuple[Word, Word], ...]
    legacy: bool = False


class Label(Instruction, frozen=True):
    """``LABEL K=V ...`` or ``LABEL K V`` (``legacy``)."""

    items: tuple[tuple[Word, Word], ...]
    legacy: bool = False


#: A command is one shell string or an exec list.
Form = Literal["shell", "exec"]


class Run(Instruction, frozen=True):
    """``RUN``: ``argv`` has one element in shell form. The values of flags are as written."""

    form: Form
    argv: tuple[str, ...]
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[Word, ...] = ()  # --mount
    network: Word | None = None
    security: Word | None = None
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the others


class Copy(Instruction, frozen=True):
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


class Workdir(Instruction, frozen=True):
    """``WORKDIR PATH``."""

    path: Word


class User(Instruction, frozen=True):
    """``USER NAME[:GROUP]``."""

    name: Word


class Cmd(Instruction, frozen=True):
    """``CMD``."""

    form: Form
    argv: tuple[str, ...]


class Entrypoint(Instruction, frozen=True):
    """``ENTRYPOINT``."""

    form: Form
    argv: tuple[str, ...]


class Expose(Instruction, frozen=True):
    """``EXPOSE PORT[-PORT][/PROTO] ...``."""

    ports: tuple[Word, ...]


class Volume(Instruction, frozen=True):
    """``VOLUME PATH ...``."""

    paths: tuple[Word, ...]


class Stopsignal(Instruction, frozen=True):
    """``STOPSIGNAL SIGNAL``."""

    signal: Word


class Shell(Instruction, frozen=True):
    """``SHELL ["..."]``."""

    argv: tuple[str, ...]


class Healthcheck(Instruction, frozen=True):
    """``HEALTHCHECK NONE`` (``form`` is None) or ``HEALTHCHECK [OPTIONS] CMD``. In nanoseconds; 0: the default."""

    form: Form | None
    argv: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class Onbuild(Instruction, frozen=True):
    """``ONBUILD TRIGGER``: the trigger as text, its heredocs included, for a stage that starts from the image."""

    trigger: str


class Maintainer(Instruction, frozen=True):
    """``MAINTAINER AUTHOR``."""

    author: str


class Warning(Struct, frozen=True):  # noqa: A001 - the language's own word
    """A lint finding: the rule's name as in BuildKit's build checks, and a sentence."""

    rule: str
    message: str
    where: Location


class Checks(Struct, frozen=True):
    """What ``# check=`` says: at the top for the whole file, in a comment right above an instruction for it alone."""

    skip: frozenset[str] = frozenset()  # rules, or all
    skip_at: Mapping[int, frozenset[str]] = field(default_factory=dict)  # by an instruction's first line
    fail: bool = False  # a finding ends the build

    def reports(self, rule: str, line: int) -> bool:
        """Whether a finding at the instruction on this line is wanted."""
        return not (self.skip | self.skip_at.get(line, frozenset())) & {"all", rule}


class Dockerfile(Struct, frozen=True):
    """A parsed file: global ARGs and all stages' instructions in order, directives, warnings.

    Invariant: every instruction before the first From is an Arg.
    """

    name: str
    instructions: tuple[Instruction, ...]
    escape: str = "\\"
    directives: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Warning, ...] = ()
    checks: Checks = field(default_factory=Checks)
