"""Random Dockerfiles end in a plan whose every instruction is understood, or in one clear error: never in a crash."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fswatch_builder.build.planner import PlanOptions, plan
from fswatch_builder.build.preparation import Prepared
from fswatch_builder.build.review import review
from fswatch_builder.cli.failure import message
from fswatch_builder.dockerfile import parse
from fswatch_builder.errors import DockerfileError, UsageError
from fswatch_builder.model.image import Image, RunConfig
from fswatch_builder.model.instruction import Warning  # noqa: A004 - the language's own word
from fswatch_builder.model.plan import ImageSource
from fswatch_builder.model.platform import Platform

AMD64 = Platform("linux", "amd64")

NAMES = st.sampled_from(["a", "b", "A", "build", "scratch", "0", "1", "99999999999999999999", "base", "x/y:1", "é", ""])
VALUES = st.sampled_from(
    [
        "$a",
        "${a}",
        "${a:-b}",
        "${a:?gone}",
        "${a/*/x}",
        "${a",
        "${}",
        "'",
        '"',
        "\\",
        "a b",
        "/",
        "..",
        "80",
        "80-90/TCP",
        "1:2:3",
        "70000",
        "9" * 40,
        "SIGTERM",
        "RTMIN+99",
        "5s",
        "-5s",
        "1e9h",
        "u:g",
        "0:0",
        "<<E",
        "http://x/y",
        "--",
        "--from=",
        "\udcff",
        "\0",
        "$",
        "",
    ]
)
FLAGS = st.sampled_from(
    [
        "",
        "--from=a ",
        "--from=0 ",
        "--from=1 ",
        "--from=$a ",
        "--chown=$a ",
        "--chmod=9 ",
        "--platform=$a ",
        "--platform=linux/foo ",
        "--interval=1 ",
        "--interval=1m ",
        "--retries=-1 ",
        "--nope ",
        "--link=maybe ",
    ]
)
JSON = st.lists(st.sampled_from(["a", "$b", "", "\\u0000"]), max_size=3).map(
    lambda words: "[" + ", ".join(f'"{word}"' for word in words) + "]"
)
KEYWORDS = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
    "NOPE",
    "from",
    "Run",
]


@st.composite
def lines(draw: st.DrawFn) -> str:
    keyword = draw(st.sampled_from(KEYWORDS))
    if draw(st.integers(0, 4)) == 0:
        keyword = f"ONBUILD {keyword}"
    words = draw(st.lists(st.one_of(VALUES, NAMES, st.builds("{}={}".format, NAMES, VALUES), JSON), max_size=4))
    line = f"{keyword} {draw(FLAGS)}{' '.join(words)}"
    return line + draw(st.sampled_from(["", "", "", " \\", "\nE", "\n", "\n# check=skip=all", "\n\n"]))


@st.composite
def files(draw: st.DrawFn) -> str:
    head = draw(st.sampled_from(["", "# escape=`\n", "# check=error=true\n", "ARG a=b\n", "ARG a\n", "\ufeff"]))
    stages = [
        draw(
            st.sampled_from(["FROM scratch\n", "FROM scratch AS a\n", "FROM a AS b\n", "FROM $a\n", "FROM base AS A\n"])
        )
        + "\n".join(draw(st.lists(lines(), max_size=5)))
        for _ in range(draw(st.integers(1, 3)))
    ]
    return head + "\n".join(stages)


TRIGGERS = st.lists(lines(), max_size=2).map(tuple)


@settings(max_examples=400, deadline=None)
@given(
    text=files(),
    args=st.dictionaries(st.sampled_from(["a", "b", "SOURCE_DATE_EPOCH", "http_proxy"]), VALUES, max_size=2),
    target=st.one_of(st.none(), NAMES),
    triggers=TRIGGERS,
)
def test_a_plan_or_one_clear_error(
    text: str, args: dict[str, str], target: str | None, triggers: tuple[str, ...]
) -> None:
    content = text.encode("utf-8", "surrogateescape")
    found = outcome(content, PlanOptions(AMD64, AMD64, target, args, {}, dict.fromkeys(range(4), triggers)))
    if isinstance(found, UsageError):
        assert "\n" not in found.what
    elif isinstance(found, DockerfileError):
        assert found.where is not None, found.what
        assert 1 <= found.where.line <= len(content.split(b"\n")), found.what
        found.text = content
        assert message(found).startswith("ERROR: ")
    else:
        assert all(warning.where.line >= 1 for warning in found)


def outcome(content: bytes, options: PlanOptions) -> list[Warning] | UsageError | DockerfileError:
    """The findings about a plan, or the error."""
    try:
        the_plan = plan(parse(content, "Dockerfile"), options)
        images = {
            stage.index: Image(AMD64, RunConfig(env=("a=b",)))
            for stage in the_plan.stages
            if isinstance(stage.base, ImageSource)
        }
        return [*the_plan.warnings, *review(Prepared(the_plan, images), [b"a"])]
    except (UsageError, DockerfileError) as error:
        return error
