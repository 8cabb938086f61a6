"""I1 to I15: the configuration and the history of an image, as BuildKit writes them, one case a rule."""

import pytest

from fswatch_builder.build.spelling import go_duration, go_health
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.image import DEFAULT_PATH, Healthcheck, RunConfig
from tests.unit.build.planning import config, created_by, walked

S = 1_000_000_000
BASE = RunConfig(
    user="u",
    exposed_ports=("22/tcp",),
    env=("PATH=/b", "A=1"),
    entrypoint=("e",),
    cmd=("c",),
    volumes=("/v",),
    working_dir="/w",
    labels={"l": "1"},
    stop_signal="TERM",
    shell=("/bin/bash", "-c"),
    healthcheck=Healthcheck(("NONE",)),
)


@pytest.mark.parametrize(
    ("line", "field", "value", "shown"),
    [
        ("ENV A=2 B='x y'", "env", ("PATH=/b", "A=2", "B=x y"), "ENV A=2 B=x y"),
        ("ENV A x  y", "env", ("PATH=/b", "A=x  y"), "ENV A=x  y"),
        ('LABEL l=2 "a b"="c \\"d\\""', "labels", {"l": "2", "a b": 'c "d"'}, 'LABEL l=2 a b=c "d"'),
        ("LABEL a b c", "labels", {"l": "1", "a": "b c"}, "LABEL a=b c"),
        ("CMD a b", "cmd", ("/bin/bash", "-c", "a b"), 'CMD ["/bin/bash" "-c" "a b"]'),
        ('CMD ["a", "é\\n"]', "cmd", ("a", "é\n"), 'CMD ["a" "é\\n"]'),
        ("CMD []", "cmd", (), "CMD []"),
        ('ENTRYPOINT ["x"]', "cmd", None, 'ENTRYPOINT ["x"]'),
        ("ENTRYPOINT x", "entrypoint", ("/bin/bash", "-c", "x"), 'ENTRYPOINT ["/bin/bash" "-c" "x"]'),
        ("ENTRYPOINT []", "entrypoint", None, "ENTRYPOINT []"),
        ("EXPOSE 80 53/UDP 8000-8001", "exposed_ports", None, "EXPOSE [80/tcp 53/udp 8000/tcp 8001/tcp]"),
        ("VOLUME /a /v", "volumes", ("/v", "/a"), "VOLUME [/a /v]"),
        ('VOLUME ["/a b"]', "volumes", ("/v", "/a b"), "VOLUME [/a b]"),
        ("USER 1:2", "user", "1:2", "USER 1:2"),
        ("WORKDIR x", "working_dir", "/w/x", "WORKDIR /w/x"),
        ('SHELL ["s", "-e"]', "shell", ("s", "-e"), "SHELL [s -e]"),
        ("STOPSIGNAL SIGRTMIN+3", "stop_signal", "SIGRTMIN+3", "STOPSIGNAL SIGRTMIN+3"),
        (
            "HEALTHCHECK --interval=5m --timeout=3s CMD curl -f x || exit 1",
            "healthcheck",
            Healthcheck(("CMD-SHELL", "curl -f x || exit 1"), 300 * S, 3 * S),
            'HEALTHCHECK &{["CMD-SHELL" "curl -f x || exit 1"] "5m0s" "3s" "0s" "0s" \'\\x00\'}',
        ),
        (
            'HEALTHCHECK --retries=10 CMD ["a", "b"]',
            "healthcheck",
            Healthcheck(("CMD", "a", "b"), retries=10),
            'HEALTHCHECK &{["CMD" "a" "b"] "0s" "0s" "0s" "0s" \'\\n\'}',
        ),
        (
            "HEALTHCHECK NONE",
            "healthcheck",
            Healthcheck(("NONE",)),
            'HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" \'\\x00\'}',
        ),
    ],
)
def test_a_configuration_and_its_line(line: str, field: str, value: object, shown: str) -> None:
    found = config(f"FROM b\n{line}\n", base=BASE)
    if value is not None or field in ("cmd", "entrypoint"):
        assert getattr(found, field) == value
    assert created_by(f"FROM b\n{line}\n", base=BASE) == [shown]


def test_what_no_line_names_stays_the_bases() -> None:
    assert config("FROM b\n", base=BASE) == BASE


def test_maintainer_sets_the_author_and_the_last_one_counts() -> None:
    text = "FROM scratch\nMAINTAINER a\nMAINTAINER Me <m@x> $A\n"
    assert walked(text)[1].author == "Me <m@x> $A"
    assert created_by(text) == ["MAINTAINER a", "MAINTAINER Me <m@x> $A"]
    assert walked("FROM scratch AS a\nMAINTAINER x\nFROM a\n")[1].author == "x"


def test_ports_in_the_configuration_are_a_set_and_in_the_history_a_list() -> None:
    text = "FROM scratch\nEXPOSE 80 22 80/tcp\n"
    assert config(text).exposed_ports == ("22/tcp", "80/tcp")
    assert created_by(text) == ["EXPOSE [80/tcp 22/tcp 80/tcp]"]


@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("80/icmp", "invalid proto: icmp"),
        ("80-70", "invalid containerPort: 80-70"),
        ("65536", "invalid containerPort: 65536"),
        ("-1", "invalid containerPort: -1"),
        ("/tcp", "invalid containerPort: "),
        ("x:80", "invalid hostPort: x"),
        ("nowhere:1:80", "invalid IP address: nowhere"),
        ("1-3:80-81", "invalid ranges specified for container and host Ports: 80-81 and 1-3"),
        ("9" * 5000, "invalid containerPort"),
    ],
)
def test_what_is_no_port_is_told_at_its_word(port: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        config(f"FROM scratch\nEXPOSE 1 {port}\n")
    assert caught.value.where == Location("Dockerfile", 2, 10)


@pytest.mark.parametrize("port", ["0.0.0.0:80:81", "[::1]:80:81", "::1:80:81", "1-9:81", "0:81", "81/tcp"])
def test_a_part_for_the_host_means_nothing(port: str) -> None:
    assert config(f"FROM scratch\nEXPOSE {port}\n").exposed_ports == ("81/tcp",)


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (250_000_000, "250ms"),
        (S, "1s"),
        (S + 1, "1.000000001s"),
        (90 * S, "1m30s"),
        (3600 * S, "1h0m0s"),
        (2**63 - 1, "2562047h47m16.854775807s"),
    ],
)
def test_durations_are_spelled_as_by_go(nanoseconds: int, shown: str) -> None:
    assert go_duration(nanoseconds) == shown


@pytest.mark.parametrize(
    ("retries", "shown"), [(0, "'\\x00'"), (3, "'\\x03'"), (34, "'\"'"), (39, "'\\''"), (92, "'\\\\'"), (65, "'A'")]
)
def test_a_number_of_retries_is_shown_as_the_character_that_go_makes_of_it(retries: int, shown: str) -> None:
    assert go_health(Healthcheck(("NONE",), retries=retries)).endswith(f" {shown}}}")


def test_the_history_of_a_run_names_the_arguments_of_the_parent_stage_too() -> None:
    text = "FROM scratch AS a\nARG A=1\nFROM a\nARG B\nARG A=2\nRUN x\n"
    assert created_by(text)[-1] == "RUN |2 A=2 B= /bin/sh -c x # buildkit"


@pytest.mark.parametrize("name", ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"])
def test_an_argument_for_the_builder_is_shown_and_is_no_variable(name: str) -> None:
    steps, state = walked(f"FROM scratch\nARG {name}=true\nRUN x\n")
    assert steps[-1].created_by == f"RUN |1 {name}=true /bin/sh -c x # buildkit"
    assert name not in state.scope.variables


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("ENV a=1 b=${c:?x}", 11),
        ("LABEL k=v ${x=v", 11),
        ("USER ${u:?}", 6),
        ("ARG a=1 b=${c:?x}", 11),
        ("EXPOSE 1 ${p", 10),
    ],
)
def test_an_expansion_that_fails_is_told_at_its_word(line: str, column: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        config(f"FROM scratch\n{line}\n")
    assert caught.value.where == Location("Dockerfile", 2, column)


def test_a_base_without_path_gets_one() -> None:
    assert config("FROM b\n").env == (DEFAULT_PATH,)
