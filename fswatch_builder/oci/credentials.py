"""Credentials for registries, from Docker's ``config.json`` and its credential helpers.

Secrets are never printed, logged or part of an error. A registry gets those stored under its very name, no other's.
"""

import base64
import binascii
import os
import re
import shutil
import subprocess
from typing import Final

import msgspec
from msgspec import Struct

from fswatch_builder.errors import RegistryError
from fswatch_builder.oci.reference import DOCKER_HUB

#: What ``docker login`` without a host files the credentials under.
_HUB_KEY: Final = "https://index.docker.io/v1/"
_HUB_NAMES: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HELPER_SECONDS: Final = 30
_NOT_FOUND: Final = "credentials not found"  # as all helpers say it (docker-credential-helpers, errCredentialsNotFound)
_TOKEN_USER: Final = "<token>"  # noqa: S105 - the user name that marks a secret as an identity token


class Credentials(Struct, frozen=True):
    """A user name and password, or an identity token (an OAuth2 refresh token)."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"  # the secrets are nobody's to see


class Lookup(Struct, frozen=True):
    """Credentials, or why there are none (for the message if the registry then refuses)."""

    credentials: Credentials | None
    why: str = ""


class _Auth(Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _Config(Struct):
    auths: dict[str, _Auth] | None = None
    credHelpers: dict[str, str] | None = None  # noqa: N815 - the file's own spelling
    credsStore: str = ""  # noqa: N815


class _HelperAnswer(Struct):
    Username: str = ""
    Secret: str = ""


def config_path() -> str:
    """Where Docker's configuration is looked for."""
    directory = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
    return os.path.join(directory, "config.json")


def find_credentials(registry: str) -> Lookup:
    """Of a registry (``docker.io``, ``localhost:5000``). Raises RegistryError for a file or helper that is broken."""
    path = config_path()
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return Lookup(None, f"{path} does not exist")
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror}") from error
    try:
        config = msgspec.json.decode(content, type=_Config)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # The decoder's message may quote what it read.
        raise RegistryError(f"{path} is not a valid configuration", hint="log in again, or repair the file") from None
    why = f"{path} has none for {registry}"
    helpers = {_host(key): name for key, name in (config.credHelpers or {}).items()}
    helper = helpers.get(registry) or config.credsStore
    if helper:
        lookup = _ask_helper(helper, _HUB_KEY if registry == DOCKER_HUB else registry)
        if lookup.credentials is not None:
            return lookup
        why = lookup.why
    for key, auth in (config.auths or {}).items():
        if _host(key) == registry and (credentials := _from_auth(auth, path, key)) is not None:
            return Lookup(credentials)
    return Lookup(None, why)


def _host(key: str) -> str:
    """The registry that a key of the file is for; keys are host names, or URLs of the old kind."""
    name = key.removeprefix("https://").removeprefix("http://")
    host, _, path = name.partition("/")
    if path.strip("/") not in ("", "v1", "v2"):
        return key  # for one repository only, as other tools write it: not for the whole registry
    return DOCKER_HUB if host in _HUB_NAMES else host


def _from_auth(auth: _Auth, path: str, key: str) -> Credentials | None:
    if auth.identitytoken:
        return Credentials(identity_token=auth.identitytoken)
    if auth.auth:
        try:
            decoded = base64.b64decode(auth.auth, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise RegistryError(f"{path}: the credentials for {key} are not valid", hint="log in again") from None
        username, _, password = decoded.rstrip("\0").partition(":")
        return Credentials(username, password)
    if auth.username:
        return Credentials(auth.username, auth.password)
    return None  # an empty entry: the credentials are in a helper


def _ask_helper(name: str, server: str) -> Lookup:
    program = f"docker-credential-{name}"
    if not _HELPER.fullmatch(name):
        raise RegistryError(f"{config_path()}: {name!r} is not the name of a credential helper")
    found = shutil.which(program)
    if found is None:
        return Lookup(None, f"{program}, named in {config_path()}, is not installed")
    try:
        done = subprocess.run(
            [found, "get"], input=server.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RegistryError(f"{program} did not answer within {_HELPER_SECONDS} s") from None
    except OSError as error:
        raise RegistryError(f"cannot run {program}: {error.strerror}") from error
    if done.returncode != 0:
        if _NOT_FOUND in (done.stdout + done.stderr).decode(errors="replace").lower():
            return Lookup(None, f"{program} has none for {server}")
        raise RegistryError(f"{program} failed with status {done.returncode} for {server}")
    try:
        answer = msgspec.json.decode(done.stdout, type=_HelperAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise RegistryError(f"{program} gave no valid answer") from None
    if answer.Username == _TOKEN_USER:
        return Lookup(Credentials(identity_token=answer.Secret))
    return Lookup(Credentials(answer.Username, answer.Secret))
