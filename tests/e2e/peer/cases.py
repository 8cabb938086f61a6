"""Dockerfiles that we and buildah build. Where the images differ, the case says how and under which number of
``docs/differences.md``: nothing else may differ, and nothing of that may be equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """``differs``: what is not equal (``layers``, ``config NAME``, ``/path``) to its number in the document."""

    name: str
    text: str
    flags: tuple[str, ...] = ()
    differs: Mapping[str, str] = field(default_factory=dict)


def _on_base(name: str, lines: str, *flags: str, differs: Mapping[str, str] | None = None) -> Case:
    return Case(name, f"FROM base\n{lines}\n", flags, differs or {})


RUN = (
    _on_base("run shell form", "RUN echo a >/f && echo b >>/f"),
    _on_base("run exec form", 'RUN ["/bin/sh", "-c", "echo $0 >/f", "a b"]'),
    _on_base("run that changes nothing", "RUN true", differs={"layers": "B1"}),
    _on_base("run removes a file", "RUN rm /etc/group"),
    _on_base("run removes a directory", "RUN rm -r /home"),
    _on_base("run replaces a directory by a file", "RUN rm -r /home && echo x >/home"),
    _on_base("run changes mode and owner", "RUN chmod 4750 /etc/passwd && chown 5:6 /etc/passwd"),
    _on_base("run makes links", "RUN ln -s ../x /l && echo x >/f && ln /f /g"),
    _on_base("run makes a fifo", "RUN mkfifo -m 600 /p"),
    _on_base("run moves a directory", "RUN mkdir -p /a/b && echo x >/a/b/f\nRUN mv /a /c"),
    _on_base("run twice", "RUN echo 1 >/f\nRUN echo 2 >/f && mkdir -m 1777 /t"),
    _on_base("run begins anew in its directory", "RUN cd /etc\nRUN pwd >/f", differs={"layers": "B1"}),
    _on_base("run sees the environment", "ENV A=1\nRUN echo $A ${A:-x} ${B:-y} >/f"),
    _on_base("run in several lines", "RUN echo a >/f; \\\n  # a comment\n  echo b >>/f"),
    Case("run with another escape", "# escape=`\nFROM base\nRUN echo a `\n  b >/f\n"),
    _on_base("shell", 'SHELL ["/bin/sh", "-e", "-c"]\nRUN echo $- >/f; false || true'),
    _on_base("user by name", "USER app\nRUN id -u >/tmp/f; id -g >>/tmp/f; id -G >>/tmp/f; echo $HOME >>/tmp/f"),
    _on_base("user by number", "USER 1000\nRUN id -u >/tmp/f; id -g >>/tmp/f"),
    _on_base("user with a group", "USER app:staff\nRUN id -u >/tmp/f; id -g >>/tmp/f"),
    _on_base("user and group by number", "USER 7:8\nRUN id -u >/tmp/f; id -g >>/tmp/f"),
    _on_base("user nobody knows", "USER 4242\nRUN id -u >/tmp/f; id -g >>/tmp/f"),
    _on_base("run after a volume", "VOLUME /v\nRUN mkdir -p /v && echo x >/v/f", differs={"/v/f": "B2"}),
)

VARIABLES = (
    _on_base("env, several on a line", "ENV A=1 B=$A C='x y' D=\"$A z\"\nENV E=$A$B"),
    _on_base("env, old form", "ENV A b c"),
    _on_base("env replaced in its place", "ENV A=1 B=2\nENV A=3"),
    _on_base("env with quotes and escapes", 'ENV A=a\\ b B="a\\"b" C=\'a$b\' D=\\$x'),
    _on_base("env modifiers", "ENV A=1\nENV B=${A:-x} C=${N:-x} D=${A:+x} E=${N:+x} F=${A}y"),
    _on_base("arg with a default", "ARG A=1\nRUN echo $A >/f"),
    _on_base("arg from the command line", "ARG A=1\nRUN echo $A >/f", "--build-arg=A=2"),
    _on_base("arg in an env", "ARG A=1\nENV B=$A", "--build-arg=A=2"),
    _on_base("env wins over an arg before it", "ARG A=1\nENV A=2\nRUN echo $A >/f", "--build-arg=A=3"),
    Case("global arg", "ARG B=base\nARG A=1\nFROM $B\nARG A\nRUN echo $A >/f\n"),
    Case("global arg not asked for", "ARG A=1\nFROM base\nRUN echo x$A >/f\n"),
    Case("arg of another stage", "FROM base AS a\nARG A=1\nFROM base\nRUN echo x$A >/f\n"),
    Case("env of the stage below", "FROM base AS a\nENV A=1\nFROM a\nRUN echo $A >/f\n"),
    _on_base("arg in copy and workdir", "ARG D=/d\nWORKDIR $D\nCOPY a.txt ${D}/x", differs={"layers": "B5"}),
)

CONFIGURATION = (
    _on_base("cmd shell form", 'CMD echo "a b" $HOME'),
    _on_base("cmd exec form", 'CMD ["a", "b c"]'),
    _on_base("cmd twice", "CMD a\nCMD b"),
    _on_base("entrypoint exec form", 'ENTRYPOINT ["a", "b"]'),
    _on_base("entrypoint shell form", "ENTRYPOINT a b"),
    Case("entrypoint drops the cmd of the base", 'FROM base AS a\nCMD ["x"]\nFROM a\nENTRYPOINT ["y"]\n'),
    _on_base("cmd before entrypoint", 'CMD ["x"]\nENTRYPOINT ["y"]'),
    _on_base("shell and cmd", 'SHELL ["/bin/sh", "-e", "-c"]\nCMD x', differs={"config Cmd": "B3"}),
    _on_base("expose", "EXPOSE 80 53/udp 80/tcp"),
    _on_base("expose a range", "EXPOSE 8000-8002", differs={"config ExposedPorts": "B4"}),
    _on_base("volume", 'VOLUME /a /b\nVOLUME ["/c d"]'),
    _on_base("label", "LABEL a=1 b='x y' \"c d\"=e\nLABEL a=2"),
    _on_base("label of the command line", "LABEL a=1", "--label=a=2", "--label=z=3"),
    _on_base("stopsignal", "STOPSIGNAL SIGUSR1"),
    _on_base("stopsignal by number", "STOPSIGNAL 9"),
    _on_base("user", "USER app:staff"),
    _on_base("healthcheck", "HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --retries=4 CMD x || exit 1"),
    _on_base("healthcheck exec form", 'HEALTHCHECK CMD ["a", "b"]'),
    _on_base("healthcheck none", "HEALTHCHECK NONE"),
    _on_base("onbuild", "ONBUILD RUN echo x >/f\nONBUILD COPY a.txt /"),
    Case("onbuild in the stage above", "FROM base AS a\nONBUILD RUN echo x >/f\nFROM a\nRUN echo y >>/f\n"),
    _on_base("maintainer", "MAINTAINER someone <a@example.com>"),
    _on_base("workdir", "WORKDIR /w", differs={"layers": "B5", "/w": "B5"}),
    _on_base(
        "workdir relative",
        "WORKDIR /w\nWORKDIR a/b\nWORKDIR ../c\nRUN pwd >/f",
        differs={"layers": "B5", "/w/a/b": "B5"},
    ),
    _on_base("workdir that is there", "WORKDIR /home/app\nRUN pwd >/f"),
    _on_base(
        "workdir of a user", "USER app\nWORKDIR /tmp/p/q", differs={"layers": "B5", "/tmp/p": "B5", "/tmp/p/q": "B5"}
    ),
)

COPY = (
    _on_base("copy a file", "COPY a.txt /x"),
    _on_base("copy into a directory that is made", "COPY a.txt /p/q/"),
    _on_base("copy several", "COPY a.txt b.txt /p/"),
    _on_base("copy a directory", "COPY tree /p"),
    _on_base("copy a directory into one that is there", "COPY tree /home/app"),
    _on_base("copy all", "COPY . /p/", differs={"/p/modes/program": "B6"}),
    _on_base("copy by wildcard", "COPY *.txt tree/?.c /p/"),
    _on_base("copy what is no match beside a match", "COPY a.txt none*.txt /p/"),
    _on_base("copy in json form", 'COPY ["a b.txt", "/p q/"]'),
    _on_base(
        "copy relative to workdir",
        "WORKDIR /w\nCOPY a.txt .\nCOPY a.txt ./x\nCOPY a.txt ../y",
        differs={"layers": "B5"},
    ),
    _on_base("copy over a file", "COPY a.txt /etc/passwd"),
    _on_base(
        "copy over a link to a file", "RUN ln -s /etc/group /l\nCOPY a.txt /l", differs={"/l": "B7", "/etc/group": "B7"}
    ),
    _on_base("copy through a link to a directory", "RUN ln -s /home/app /l\nCOPY a.txt /l/\nCOPY tree /l"),
    _on_base("copy links", "COPY links /p"),
    _on_base("copy linked files", "COPY hard /p"),
    _on_base("copy modes", "COPY modes /p", differs={"/p/program": "B6"}),
    _on_base("copy an empty directory", "COPY empty /p"),
    _on_base("copy with an owner by name", "COPY --chown=app a.txt /p/x"),
    _on_base("copy with owner and group", "COPY --chown=app:staff tree /p"),
    _on_base("copy with an owner by number", "COPY --chown=3:4 tree /p"),
    _on_base("copy with a mode", "COPY --chmod=0750 a.txt /x"),
    _on_base("copy a directory with a mode", "COPY --chmod=0750 tree /p", differs={"/p": "B8"}),
    Case(
        "copy from a stage",
        "FROM base AS a\nRUN echo x >/f && chown 5:6 /f && chmod 6755 /f\nFROM base\nCOPY --from=a /f /\n",
    ),
    Case("copy from a stage by number", "FROM base\nRUN mkdir -p /d && echo x >/d/f\nFROM base\nCOPY --from=0 /d /e\n"),
    Case("copy a link from a stage", "FROM base AS a\nRUN ln -s /etc/passwd /l\nFROM base\nCOPY --from=a /l /m\n"),
    Case("copy onto nothing", "FROM scratch\nCOPY a.txt /p/\n", differs={"config WorkingDir": "B9"}),
    _on_base("copy the same twice", "COPY a.txt /x\nCOPY a.txt /x"),
    _on_base("add a file", "ADD a.txt /p/"),
    _on_base("add a directory", "ADD tree /p/"),
    _on_base("add a tar", "ADD plain.tar /p/"),
    _on_base("add a compressed tar", "ADD packed.tar.gz /p/"),
    _on_base("add a tar over a directory", "ADD plain.tar /home/app"),
    _on_base("add a tar with an owner", "ADD --chown=3:4 plain.tar /p/", differs={"/p/g": "B10", "/p/in/f": "B10"}),
    _on_base("add what is no tar", "ADD no.tar.gz /p/"),
    Case(
        "three stages",
        "FROM base AS a\nRUN echo a >/a\nFROM a AS b\nRUN echo b >/b\nFROM base\nCOPY --from=b /a /b /d/\n",
    ),
    Case("a target", "FROM base AS a\nRUN echo a >/f\nFROM base AS b\nRUN echo b >/f\n", ("--target=a",)),
    Case("a stage that is not needed", "FROM base AS a\nRUN false\nFROM base\nRUN echo b >/f\n"),
)

CASES = (*RUN, *VARIABLES, *CONFIGURATION, *COPY)
