"""``--call`` and ``--check``: the Dockerfile is looked at instead of being built."""

import json
import os
import sys
from base64 import b64encode
from collections.abc import Sequence
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.build.checking import Findings, check, together
from fswatch_builder.build.description import Outline, Supplied, Target, outline, targets
from fswatch_builder.build.planner import plan
from fswatch_builder.build.request import Request, beside, parsed, plan_options, source
from fswatch_builder.cli.failure import source_lines
from fswatch_builder.cli.printable import printable
from fswatch_builder.cli.render import counted
from fswatch_builder.cli.values import choice
from fswatch_builder.dockerfile.ignorefile import read_ignore
from fswatch_builder.dockerfile.parser import ParseError
from fswatch_builder.dockerfile.rules import RULES, rule_url
from fswatch_builder.errors import BuildError, Location, UsageError
from fswatch_builder.oci.store import Store

_FOUND: Final = 1  # as docker buildx build --check ends


class Call(Struct, frozen=True):
    """What is asked for, and how the answer shall look."""

    method: str
    as_json: bool = False
    ignore_status: bool = False

    @classmethod
    def parse(cls, text: str, check_only: bool) -> Self:
        """``METHOD[,format=json][,ignorestatus]``; ``--check`` is short for check. Raises UsageError."""
        method, *options = text.split(",")
        method = {"lint": "check"}.get(method, method)
        if check_only:
            if text not in ("build", "check", "lint"):
                raise UsageError(f"--check and --call={text}: give one of them")
            method = "check"
        choice("--call", method, ("build", "check", "outline", "targets"))
        for option in options:
            if option not in ("format=json", "format=text", "ignorestatus", "ignorestatus=true", "ignorestatus=false"):
                raise UsageError(
                    f"--call={text}: unknown option {option}", hint="there are format=json and ignorestatus"
                )
        return cls(method, "format=json" in options, bool({"ignorestatus", "ignorestatus=true"} & set(options)))


def answer(call: Call, request: Request, store_directory: str) -> int:
    """Prints it to standard output: the exit status. Raises BuildError."""
    text, name = source(request)
    try:
        return _answer(call, request, text, name, store_directory)
    except BuildError as error:
        error.text = text
        raise


def _answer(call: Call, request: Request, text: bytes, name: str, store_directory: str) -> int:
    if call.method == "check":
        return _check(call, request, text, name, store_directory)
    dockerfile = parsed(request, text, name)
    if call.method == "targets":
        found = targets(dockerfile)
        _say(call, _targets_json(found, text), _targets_text(found))
    else:
        described = outline(dockerfile, plan(dockerfile, plan_options(request, request.targets[0])), request.target)
        _say(call, _outline_json(described, text), _outline_text(described))
    return 0


def _say(call: Call, document: object, text: str) -> None:
    print(json.dumps(document, indent=2) if call.as_json else text)


def _check(call: Call, request: Request, text: bytes, name: str, store_directory: str) -> int:
    found = _findings(request, text, name, store_directory)
    _say(call, _findings_json(found, text, name), _findings_text(found, text))
    if found.error is not None:
        if call.as_json:
            return found.error.exit_status
        raise found.error
    for unknown in found.unknown:
        note = f"the image {unknown} is not in the local store: UndefinedVar is not checked where its variables may be"
        print(f"note: {printable(note)}", file=sys.stderr)
    return _FOUND if found.warnings and not call.ignore_status else 0


def _findings(request: Request, text: bytes, name: str, store_directory: str) -> Findings:
    try:
        dockerfile = parsed(request, text, name)
    except ParseError as error:
        return Findings(error.warnings, error)
    named = None if request.ignorefile is None else os.fsencode(request.ignorefile)
    place = beside(request)
    ignored = read_ignore(os.fsencode(request.context), None if place is None else os.fsencode(place), named)
    options = [
        replace(plan_options(request, platform), every_stage=request.target is None) for platform in request.targets
    ]
    if not os.path.isdir(store_directory):
        return together([check(dockerfile, one, ignored, None) for one in options])
    with Store.open(store_directory) as store:
        return together([check(dockerfile, one, ignored, store) for one in options])


def _findings_text(found: Findings, text: bytes) -> str:
    count = counted(len(found.warnings), "warning")
    verb = "has" if len(found.warnings) == 1 else "have"
    lines = [f"Check complete, {count} {verb} been found!" if found.warnings else "Check complete, no warnings found."]
    for one in found.warnings:
        lines += ["", f"WARNING: {one.rule} - {rule_url(one.rule)}", printable(one.message), printable(str(one.where))]
        lines += source_lines(one.where, text)
    return "\n".join(lines if found.error is None or found.warnings else ())


def _findings_json(found: Findings, text: bytes, name: str) -> object:
    warnings = [
        {
            "ruleName": one.rule,
            "description": RULES[one.rule],
            "url": rule_url(one.rule),
            "detail": one.message,
            "location": _location(one.where),
        }
        for one in found.warnings
    ]
    sources = [{"filename": name, "language": "Dockerfile", "data": _encoded(text)}]
    document: dict[str, object] = {"warnings": warnings, "sources": sources}
    if found.error is not None:
        failed: dict[str, object] = {"message": found.error.what}
        if found.error.where is not None:
            failed["location"] = _location(found.error.where)
        document["buildError"] = failed
    return document


def _targets_text(found: Sequence[Target]) -> str:
    rows = [("TARGET", "DESCRIPTION")]
    for one in found:
        marked = f"{one.name} (default)" if one.name else "(default)"
        rows.append((marked if one.default else one.name, one.description))
    return _table(rows)


def _targets_json(found: Sequence[Target], text: bytes) -> object:
    return {
        "targets": [
            _present(
                name=one.name,
                default=one.default,
                description=one.description,
                base=one.base,
                platform=one.platform,
                location=_location(one.where),
            )
            for one in found
        ],
        "sources": [_encoded(text)],
    }


def _outline_text(described: Outline) -> str:
    head = [("TARGET:", described.name or "(default)")]
    if described.description:
        head.append(("DESCRIPTION:", described.description))
    tables: list[Sequence[tuple[str, ...]]] = [head]
    if described.arguments:
        arguments = [(one.name, one.value, one.description) for one in described.arguments]
        tables.append([("BUILD ARG", "VALUE", "DESCRIPTION"), *arguments])
    for title, supplied in (("SECRET", described.secrets), ("SSH", described.agents)):
        if supplied:
            tables.append([(title, "REQUIRED"), *((one.name, "true" if one.required else "") for one in supplied)])
    if described.caches:
        tables.append([("CACHE",), *((one.id,) for one in described.caches)])
    return "\n\n".join(_table(rows) for rows in tables)


def _outline_json(described: Outline, text: bytes) -> object:
    arguments = [
        _present(name=one.name, description=one.description, value=one.value, location=_location(one.where))
        for one in described.arguments
    ]
    return _present(
        name=described.name,
        description=described.description,
        args=arguments,
        secrets=_supplied_json(described.secrets),
        ssh=_supplied_json(described.agents),
        cache=[_present(ID=one.id, location=_location(one.where)) for one in described.caches],
        sources=[_encoded(text)],
    )


def _supplied_json(supplied: Sequence[Supplied]) -> object:
    return [_present(name=one.name, required=one.required, location=_location(one.where)) for one in supplied]


def _present(**members: object) -> dict[str, object]:
    """Those that say something."""
    return {name: value for name, value in members.items() if value}


def _location(where: Location) -> object:
    start = {"line": where.line} | ({"character": where.column - 1} if where.column > 1 else {})
    return {"ranges": [{"start": start, "end": {"line": where.end_line or where.line}}]}


def _encoded(text: bytes) -> str:
    return b64encode(text).decode()


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in shown)
