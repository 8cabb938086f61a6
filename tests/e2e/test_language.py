"""The language in whole builds: what a RUN gets, one case a rule, and the configuration document as it lies on disk."""

import json
import os
import re
from collections.abc import Mapping

import pytest

from fswatch_builder.errors import DockerfileError
from fswatch_builder.oci.store import Store
from tests.support.builds import Result, Workshop, args
from tests.support.cli import fswatch_builder
from tests.support.stores import listed

pytestmark = pytest.mark.root

#: Text after ``FROM base``, and what its RUNs print. Several rules share a build where they do not touch each other.
PRINTED = {
    "shell form": ("RUN echo $((1+1)) a  b", "2 a b\n"),
    "exec form has no shell": ('RUN ["echo", "$HOME", "a  b"]', "$HOME a  b\n"),
    "exec form that is none is shell form": ("RUN [ -d /bin ] && echo yes", "yes\n"),
    "continuations and comments": ("RUN echo a \\\n  # comment\n\n  && echo b", "a\nb\n"),
    "SHELL": ('SHELL ["/bin/sh", "-ec"]\nRUN false || echo caught; echo $0', "caught\n/bin/sh\n"),
    "SHELL that is no shell": ('SHELL ["echo", "said:"]\nRUN a  $HOME', "said: a  $HOME\n"),
    "a heredoc alone": ("RUN <<E\necho a\necho b\nE", "a\nb\n"),
    "a heredoc is not expanded by the builder": ("ENV A=1\nRUN <<E\nA=2; echo $A\nE", "2\n"),
    "a quoted heredoc": ("RUN <<'E'\necho $((1+1))\nE", "2\n"),
    "a dash takes leading tabs": ("RUN <<-E\n\techo '\ta'\n\tE", "\ta\n"),
    "a heredoc for SHELL": ('SHELL ["echo", "-n"]\nRUN <<E\na\nE', "a\n"),
    "an interpreter": ("RUN <<E\n#!/bin/sh -e\nfalse || echo $0\nE", "/.heredoc\n"),
    "an interpreter by env": ("RUN <<E\n#!/bin/env sh\necho x\nE", "x\n"),
    "a heredoc for a command": ("RUN cat <<E\n$((1+1))\nE", "2\n"),
    "a quoted heredoc for a command": ('RUN cat <<"E"\n$x\nE', "$x\n"),
    "a heredoc for a program": ("RUN sh -s a <<'E'\necho $1\nE", "a\n"),
    "two heredocs": ("RUN cat <<A && cat <<B\na\nA\nb\nB", "a\nb\n"),
    "a heredoc at a descriptor": ("RUN cat 3<<A <&3\na\nA", "a\n"),
    "ARG and ENV": ("ARG A=1 B\nENV C=3\nRUN echo $A,${B-unset},$C", "1,unset,3\n"),
    "an ARG without text": ("ARG A=\nRUN echo ${A-unset}.", ".\n"),
    "ENV over ARG and ARG over ENV": ("ARG A=a\nENV A=e\nRUN echo $A\nARG A=b\nRUN echo $A", "e\nb\n"),
    "one line sees what was before": ("ENV A=1\nENV A=2 B=$A\nRUN echo $A $B", "2 1\n"),
    "USER by name": ("USER app\nRUN echo $(id -u):$(id -g) $(id -G) $HOME", "1000:1000 1000 50 63 /home/app\n"),
    "USER by number has its passwd line": ("USER 1000\nRUN echo $(id -u):$(id -g) $(id -G)", "1000:1000 1000 50 63\n"),
    "USER with a group has that alone": ("USER app:audio\nRUN echo $(id -u):$(id -g) $(id -G)", "1000:63 63\n"),
    "USER by numbers": ("USER 7:8\nRUN echo $(id -u):$(id -g) $(id -G) $HOME", "7:8 8 /\n"),
    "USER that passwd does not know": ("USER 7\nRUN echo $(id -u):$(id -g)", "7:0\n"),
    "USER from a variable": ("ARG U=app\nUSER $U:staff\nRUN echo $(id -u):$(id -g)", "1000:50\n"),
    "WORKDIR relative": ("WORKDIR /a\nWORKDIR b/../c\nRUN pwd", "/a/c\n"),
    "WORKDIR with blanks and variables": ("ENV D=x\nWORKDIR /a b/$D\nRUN pwd", "/a b/x\n"),
    "WORKDIR is owned by USER": ("USER app\nWORKDIR /n/m\nRUN stat -c %U:%a /n /n/m", "app:755\napp:755\n"),
    "WORKDIR leaves what is there": ("USER app\nWORKDIR /root\nRUN id -u", "1000\n"),
    "VOLUME keeps what a RUN writes": ("VOLUME /v\nRUN mkdir -p /v && echo x >/v/f\nRUN cat /v/f", "x\n"),
    "the host name": ("RUN hostname", "buildkitsandbox\n"),
    "an escape of one's own": ('ENV A="a`\n b"\nRUN echo $A `\n c', "a b c\n"),
    "ONBUILD does nothing here": ("ONBUILD RUN echo never\nRUN echo once", "once\n"),
    "no variable of the builder": ("RUN env | grep -c BUILDER || true", "0\n"),
    "standard input is empty": ("RUN cat; echo end", "end\n"),
}


@pytest.mark.parametrize("rule", PRINTED)
def test_what_a_run_gets(workshop: Workshop, rule: str) -> None:
    text, printed = PRINTED[rule]
    head = "# escape=`\n" if "escape" in rule else ""
    if rule == "WORKDIR leaves what is there":
        text = "RUN chmod 711 /root\n" + text
    assert workshop.build(f"{head}FROM base\n{text}\n").recorder.printed() == printed


@pytest.mark.parametrize("given", ["http_proxy", "HTTP_PROXY", "no_proxy", "ALL_PROXY"])
def test_a_proxy_is_in_no_key_and_no_history(workshop: Workshop, given: str) -> None:
    text = "FROM base\nRUN echo $http_proxy$HTTP_PROXY$no_proxy$NO_PROXY$all_proxy$ALL_PROXY\n"
    first = workshop.build(text, build_args={given: "p"})
    assert first.recorder.printed() == "pp\n"
    assert "p" not in first.built.image.history[-1].created_by.replace("/bin/sh", "").partition("echo")[0]
    again = workshop.build(text, build_args={given: "other"})
    assert again.recorder.statuses() == ["cached"]
    assert again.built.manifest.digest == first.built.manifest.digest


def test_a_host_name_may_be_given(workshop: Workshop) -> None:
    result = workshop.build("FROM base\nRUN hostname\n", build_args={"BUILDKIT_SANDBOX_HOSTNAME": "mine"})
    assert result.recorder.printed() == "mine\n"


EVERYTHING = """\
FROM scratch
MAINTAINER Me <me@example.org>
ARG V=1
ENV PATH=/bin A="a b" B=$V
ENV A=c
LABEL b=2 "a"="1 2"
LABEL b=3
EXPOSE 53/UDP 80 8000-8001
VOLUME ["/w v", "/u"]
USER app:staff
WORKDIR /
SHELL ["/bin/ash", "-c"]
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=1h --start-interval=2s --retries=3 CMD curl "$A"
ONBUILD RUN make
CMD one
ENTRYPOINT ["two", "$A"]
"""


def document(result: Result) -> Mapping[str, object]:
    with Store.open(result.store) as store:
        found: Mapping[str, object] = json.loads(store.read(result.built.config))
    return found


def test_the_configuration_on_disk_is_the_one_that_buildkit_writes(workshop: Workshop) -> None:
    result = workshop.build(EVERYTHING, build_args={"SOURCE_DATE_EPOCH": "86400"})
    found = document(result)
    assert {name: found[name] for name in found if name not in ("architecture", "history", "variant")} == {
        "created": "1970-01-02T00:00:00Z",
        "author": "Me <me@example.org>",
        "os": "linux",
        "config": {
            "User": "app:staff",
            "ExposedPorts": {"53/udp": {}, "80/tcp": {}, "8000/tcp": {}, "8001/tcp": {}},
            "Env": ["PATH=/bin", "A=c", "B=1"],
            "Entrypoint": ["two", "$A"],
            "Cmd": ["/bin/ash", "-c", "one"],
            "Healthcheck": {
                "Test": ["CMD-SHELL", 'curl "$A"'],
                "Interval": 90_000_000_000,
                "Timeout": 500_000_000,
                "StartPeriod": 3_600_000_000_000,
                "StartInterval": 2_000_000_000,
                "Retries": 3,
            },
            "Volumes": {"/u": {}, "/w v": {}},
            "WorkingDir": "/",
            "OnBuild": ["RUN make"],
            "Labels": {"a": "1 2", "b": "3"},
            "StopSignal": "SIGQUIT",
            "Shell": ["/bin/ash", "-c"],
        },
        "rootfs": {"type": "layers", "diff_ids": []},
    }


def test_the_history_on_disk_is_the_one_that_buildkit_writes(workshop: Workshop) -> None:
    result = workshop.build(EVERYTHING, build_args={"SOURCE_DATE_EPOCH": "86400"})
    history = document(result)["history"]
    assert isinstance(history, list)
    assert {name for line in history for name in line} == {"created", "created_by", "comment", "empty_layer"}
    assert {(line["created"], line["comment"], line["empty_layer"]) for line in history} == {
        ("1970-01-02T00:00:00Z", "buildkit.dockerfile.v0", True)
    }
    assert [line["created_by"] for line in history] == [
        "MAINTAINER Me <me@example.org>",
        "ARG V=1",
        "ENV PATH=/bin A=a b B=1",
        "ENV A=c",
        "LABEL b=2 a=1 2",
        "LABEL b=3",
        "EXPOSE [53/udp 80/tcp 8000/tcp 8001/tcp]",
        "VOLUME [/w v /u]",
        "USER app:staff",
        "WORKDIR /",
        "SHELL [/bin/ash -c]",
        "STOPSIGNAL SIGQUIT",
        'HEALTHCHECK &{["CMD-SHELL" "curl \\"$A\\""] "1m30s" "500ms" "1h0m0s" "2s" \'\\x03\'}',
        'CMD ["/bin/ash" "-c" "one"]',
        'ENTRYPOINT ["two" "$A"]',
    ]


def test_layers_and_empty_layers_of_the_history(workshop: Workshop) -> None:
    workshop.write("f")
    run = "FROM base\nARG A=1\nRUN echo $A >/a\nRUN true\n"
    text = f"{run}COPY --chown=1:2 --chmod=600 f /f\nADD f /g\nWORKDIR /w\nWORKDIR /w\n"
    lines = workshop.build(text).built.image.history
    assert [(line.created_by, line.empty_layer) for line in lines[1:]] == [
        ("ARG A=1", True),
        ("RUN |1 A=1 /bin/sh -c echo $A >/a # buildkit", False),
        ("RUN |1 A=1 /bin/sh -c true # buildkit", True),
        ("COPY --chown=1:2 --chmod=600 f /f # buildkit", False),
        ("ADD f /g # buildkit", False),
        ("WORKDIR /w", False),
        ("WORKDIR /w", True),
    ]


def test_e15_bytes_that_are_no_text_reach_files_and_commands(workshop: Workshop) -> None:
    """The history, which is JSON, shows a replacement."""
    (workshop.context / os.fsdecode(b"n\xff")).write_text("x")
    text = (
        "FROM base\nARG V\nRUN printf '\udcff' | od -An -tx1; printf $V | od -An -tx1\n"
        "COPY n\udcff /d/\nCOPY <<\udcfe /d/\nt\udcfe\n\udcfe\n"
    )
    (workshop.context / "Dockerfile").write_bytes(os.fsencode(text))
    command = [
        "build",
        f"--store={workshop.store}",
        f"--build-context=base={workshop.base}",
        "-t=x",
        "--progress=plain",
    ]
    done = fswatch_builder(*command, "--build-arg", os.fsdecode(b"V=\xfd"), str(workshop.context))
    assert re.findall(r"^#\d+ [0-9.]+ +(.*)$", done.stderr, re.MULTILINE) == ["ff", "fd"]
    with Store.open(str(workshop.store)) as store:
        (stored,) = listed(store)
        lines = [line.created_by for line in store.load_image(stored.digest).history[-4:]]
    assert [line.replace("\ufffd", "?") for line in lines] == [
        "ARG V=?",
        "RUN |1 V=? /bin/sh -c printf '?' | od -An -tx1; printf $V | od -An -tx1 # buildkit",
        "COPY n? /d/ # buildkit",
        "COPY <<? /d/ # buildkit",
    ]


@pytest.mark.parametrize("line", ["ENV A=$V", "LABEL a=$V", "WORKDIR /$V", "USER $V", "VOLUME /$V"])
def test_bytes_that_a_variable_brings_into_the_configuration_are_an_error(workshop: Workshop, line: str) -> None:
    with pytest.raises(DockerfileError, match="not UTF-8") as caught:
        workshop.build(f"FROM base\nARG V\n{line}\n", build_args=args(V="\udcff"))
    assert caught.value.where is not None
    assert caught.value.where.line == 3


@pytest.mark.parametrize("option", ["--label", "--annotation"])
def test_bytes_in_a_document_s_own_texts_are_an_error(workshop: Workshop, option: str) -> None:
    done = fswatch_builder("build", option, os.fsdecode(b"a=\xff"), str(workshop.context), check=False)
    assert (done.returncode, "not UTF-8" in done.stderr) == (2, True)
