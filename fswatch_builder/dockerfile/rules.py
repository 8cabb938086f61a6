"""The build checks by name, and in a sentence what each is about. The names, and the pages that explain them, are
BuildKit's: users know them, and mute them by them.
"""

import re
from collections.abc import Mapping
from typing import Final

RULES: Final[Mapping[str, str]] = {
    "ConsistentInstructionCasing": "All instructions of a file are written in the same case",
    "CopyIgnoredFile": "A source of COPY or ADD is hidden by the ignore file",
    "DuplicateStageName": "Two stages have the same name",
    "ExposeInvalidFormat": "EXPOSE names an address or a port of the host, which means nothing",
    "ExposeProtoCasing": "A protocol in EXPOSE is written in lower case",
    "FromAsCasing": "FROM and AS are written in the same case",
    "FromPlatformFlagConstDisallowed": "FROM --platform with a constant builds for nothing else",
    "InvalidBaseImagePlatform": "A base image is for another platform than the build",
    "InvalidDefaultArgInFrom": "Without build arguments a FROM names no image",
    "InvalidDefinitionDescription": "The comment above a stage or an argument begins with its name, then describes it",
    "JSONArgsRecommended": "A CMD or ENTRYPOINT in shell form runs below a shell, which passes no signal on",
    "LegacyKeyValueFormat": "ENV and LABEL take name=value; a blank between the two is an old form",
    "MaintainerDeprecated": "MAINTAINER is an old instruction: a label says the same",
    "MultipleInstructionsDisallowed": "Of several CMD, ENTRYPOINT or HEALTHCHECK of a stage only the last one counts",
    "NoEmptyContinuation": "An empty line within an instruction will be an error one day",
    "RedundantTargetPlatform": "FROM --platform=$TARGETPLATFORM says what is done anyway",
    "ReservedStageName": "A stage has a name with a meaning of its own",
    "SecretsUsedInArgOrEnv": "An ARG or ENV seems to hold a secret, and both stay in the image",
    "StageNameCasing": "Names of stages are written in lower case",
    "UndefinedArgInFrom": "A FROM uses an argument that nobody declares above it",
    "UndefinedVar": "A variable is used that nobody defines",
    "WorkdirRelativePath": "A relative WORKDIR depends on the one of the base image",
}

_HUMPS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def rule_url(rule: str) -> str:
    """The page about a rule."""
    return f"https://docs.docker.com/go/dockerfile/rule/{_HUMPS.sub('-', rule).lower()}/"
