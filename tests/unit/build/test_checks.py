"""The checks that need variables, and build arguments that nobody asks for."""

import pytest

from fswatch_builder.build.checks import warnings
from fswatch_builder.build.environment import Scope
from fswatch_builder.build.planner import PlanOptions, plan
from fswatch_builder.build.state import StageState
from fswatch_builder.dockerfile.parser import parse
from fswatch_builder.model.image import RunConfig
from fswatch_builder.model.plan import Plan
from fswatch_builder.model.platform import Platform

HERE = Platform("linux", "amd64")


def planned(text: str, **build_args: str) -> Plan:
    return plan(parse(text.encode(), "Dockerfile"), PlanOptions(HERE, HERE, build_args=build_args))


def found(line: str, **build_args: str) -> list[str]:
    the_plan = planned(f"FROM scratch\n{line}\n", **build_args)
    state = StageState(RunConfig(), Scope({"HOME_DIR": "/h", "A": "1"}))
    return [warning.message for warning in warnings(the_plan.target.instructions[0], state, the_plan)]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("ENV x=$A y=$B z=$B", ["B"]),
        ("ENV x=${B:-d} y=${B+d} z='$B'", []),
        ("LABEL $K=1", ["K"]),
        ("COPY --chown=$U --chmod=$M $S/a /$D", ["S", "D", "U", "M"]),
        ("COPY <<X <<'Y' /\n$B\nX\n$C\nY", ["B"]),
        ("ADD $S /", ["S"]),
        ("ADD --checksum=$C http://127.0.0.1/x /", ["C"]),
        ("WORKDIR $W", ["W"]),
        ("USER $U", ["U"]),
        ("VOLUME $V", ["V"]),
        ("EXPOSE $P", ["P"]),
        ("STOPSIGNAL $S", ["S"]),
        ("ARG one=$B two=$one", ["B"]),
        ("ARG GIVEN=${B:?never looked at} two=$GIVEN", []),
        ("RUN echo $B", []),
        ("CMD echo $B", []),
    ],
)
def test_a_variable_without_a_value_is_named_once_an_instruction(line: str, names: list[str]) -> None:
    undefined = [one for one in found(line, GIVEN="1") if "undefined" in one]
    assert undefined == [f"Usage of undefined variable '${name}'" for name in names]


def test_what_expose_drops_or_changes_is_told() -> None:
    assert found("EXPOSE 80 127.0.0.1:8080:53/UDP") == [
        "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:8080:53/UDP'",
        "Defined protocol '127.0.0.1:8080:53/UDP' in EXPOSE instruction should be lowercase",
    ]


def test_the_nearest_known_name_is_suggested() -> None:
    assert found("ENV x=$HOMEDIR") == ["Usage of undefined variable '$HOMEDIR' (did you mean $HOME_DIR?)"]


def test_a_check_is_muted_for_the_file_or_for_one_instruction() -> None:
    everywhere = planned("# check=skip=UndefinedVar\nFROM scratch\nENV a=$b\n").checks
    assert not everywhere.reports("UndefinedVar", 3)
    assert everywhere.reports("Other", 3)
    once = planned("FROM scratch\n# check=skip=all\nENV a=$b\nENV c=$d\n").checks
    assert not once.reports("UndefinedVar", 3)
    assert once.reports("UndefinedVar", 4)
    assert planned("# check=error=true\nFROM scratch\n").checks.fail


def test_build_arguments_that_no_line_asks_for_are_named() -> None:
    text = "ARG GLOBAL\nFROM scratch AS unused\nARG DROPPED\nFROM scratch\nARG USED\n"
    ours = (
        "GLOBAL",
        "DROPPED",
        "USED",
        "TYPO",
        "http_proxy",
        "BUILDKIT_INLINE_CACHE",
        "BUILDKIT_X",
        "SOURCE_DATE_EPOCH",
    )
    given = dict.fromkeys(ours, "1")
    assert planned(text, **given, TARGETARCH="arm64").unused_args == ("BUILDKIT_X", "DROPPED", "TYPO")
