"""``--format``: the templates of docker that are supported, and the rest refused by name."""

import pytest

from fswatch_builder.cli.template import Template
from fswatch_builder.errors import UsageError

DOCUMENT = {"A": "x", "B": {"C": ["1"], "D": ""}, "E": 'q"\x1b[2J'}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{{.A}}-{{ .A }}", "x-x"),
        (r"{{.A}}\t{{.A}}\n", "x\tx\n"),
        ("{{json .B.C}}", '["1"]'),
        ("{{.B.C}}", '["1"]'),
        ("{{.B.D}}", ""),
        ("{{json .A}}", '"x"'),
        ("{{json .}}", '{"A":"x","B":{"C":["1"],"D":""},"E":"q\\"\\u001b[2J"}'),
        ("{{.E}}", 'q"\\x1b[2J'),
    ],
)
def test_fields(text: str, rendered: str) -> None:
    assert Template.parse(text).render(DOCUMENT) == rendered


@pytest.mark.parametrize("text", ["{{range .B}}", "{{.A | upper}}", "{{A}}", "{{ }}", "{{if .A}}x{{end}}", "{{..A}}"])
def test_what_is_not_supported_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not supported"):
        Template.parse(text)


@pytest.mark.parametrize("text", ["{{.A", "{{.A}}-{{json .B", "{{"])
def test_a_field_without_an_end_is_no_text(text: str) -> None:
    with pytest.raises(UsageError, match="has no }} at its end"):
        Template.parse(text)


@pytest.mark.parametrize(("text", "missing"), [("{{.Z}}", r"\.Z"), ("{{.B.Z}}", r"\.B\.Z"), ("{{.A.Z}}", r"\.A\.Z")])
def test_a_field_that_is_not_there_is_an_error_that_names_those_that_are(text: str, missing: str) -> None:
    with pytest.raises(UsageError, match=missing):
        Template.parse(text).render(DOCUMENT)
