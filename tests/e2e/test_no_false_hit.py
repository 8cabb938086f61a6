"""Whatever changes what a step makes, in one store: the second build is the one that a store of its own gives (H, X4).

Each case is built, something is changed, and it is built again, there and in a new store. Times are clamped to the
epoch, so equal layers are equal bytes. What the cache had to notice is told by ``StepMissed``, never vaguely.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder.model.sandbox import SECURITY_INSECURE, SandboxOptions
from tests.support.builds import Wanted, Workshop, args
from tests.support.images import tar_of

pytestmark = pytest.mark.root

Change = Callable[[Path], object]


def relink(context: Path) -> None:
    (context / "l").unlink()
    (context / "l").symlink_to("g")


def split_links(context: Path) -> None:
    (context / "d/hard").unlink()
    (context / "d/hard").write_text("one")


def add_a_socket(context: Path) -> None:
    here = Path.cwd()
    os.chdir(context / "d")  # the name of a socket may not be long
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket")
    finally:
        os.chdir(here)


def swap_directories(context: Path) -> None:
    (context / "q1").rename(context / "q3")
    (context / "q2").rename(context / "q1")
    (context / "q3").rename(context / "q2")


#: What follows ``FROM base``, and what changes in the context.
CONTEXTS: dict[str, tuple[str, Change]] = {
    "mode": ("COPY d /d", lambda c: (c / "d/a").chmod(0o4755)),
    "mode of a directory": ("COPY d /d", lambda c: (c / "d/s").chmod(0o700)),
    "mode of the directory that is named": ("COPY d /d", lambda c: (c / "d").chmod(0o700)),
    "mode above what --parents takes": ("COPY --parents d/s/b /p/", lambda c: (c / "d").chmod(0o711)),
    "mode that a symbolic --chmod starts from": ("COPY --chmod=u+x f /x", lambda c: (c / "f").chmod(0o600)),
    "attribute": ("COPY d /d", lambda c: os.setxattr(c / "d/a", "user.x", b"1")),
    "hard links": ("COPY . /d", split_links),
    "target of a link": ("COPY . /d", relink),
    "target of a link that is named": ("COPY l /x/", relink),
    "an empty directory": ("COPY d /d", lambda c: (c / "d/empty").rmdir()),
    "a name": ("COPY [fg] /x/", lambda c: (c / "g").rename(c / "h")),
    "directories under a wildcard": ("COPY q* /x/", swap_directories),
    "a socket": ("COPY d /d", add_a_socket),
    "the ignore file": ("COPY . /d", lambda c: (c / ".dockerignore").write_text("d/a\n")),
    "an archive": ("ADD x.tar /x/", lambda c: (c / "x.tar").write_bytes(tar_of({"in": b"2"}))),
    "a mounted file": ("RUN --mount=target=/m,source=d cp /m/a /x", lambda c: (c / "d/a").write_text("z")),
    "what a mounted link leads to": ("RUN --mount=target=/m,source=l cat /m >/x", relink),
    "a mounted directory's mode": (
        "RUN --mount=target=/m,source=d stat -c %a /m >/x",
        lambda c: (c / "d").chmod(0o700),
    ),
    "what a mount hides": (
        "RUN --mount=target=/m ls -R /m >/x",
        lambda c: (c / ".dockerignore").write_text("d\n"),
    ),
}

SEED = "FROM base AS s\nRUN mkdir /q && echo 1 >/q/f && "

#: Two Dockerfiles.
TEXTS: dict[str, tuple[str, str]] = {
    "pivot of --parents": ("COPY --parents d/./s /p/", "COPY --parents ./d/s /p/"),
    "--exclude": ("COPY --exclude=a d /d", "COPY --exclude=s d /d"),
    "order of sources": ("COPY d/a e/a /x/", "COPY e/a d/a /x/"),
    "a slash": ("COPY f /x", "COPY f /x/"),
    "--link": ("RUN ln -s /etc /q\nCOPY f /q/x", "RUN ln -s /etc /q\nCOPY --link f /q/x"),
    "COPY or ADD": ("COPY x.tar /x/", "ADD x.tar /x/"),
    "name of a heredoc": ("COPY <<A /x/\nt\nA", "COPY <<B /x/\nt\nB"),
    "where a destination leads": (
        "RUN mkdir /r1 /r2 && ln -s r1 /t\nCOPY f /t/x",
        "RUN mkdir /r1 /r2 && ln -s r2 /t\nCOPY f /t/x",
    ),
    "who a name is": (
        "RUN echo u:x:7:7::/:/ >>/etc/passwd\nCOPY --chown=u f /x",
        "RUN echo u:x:8:8::/:/ >>/etc/passwd\nCOPY --chown=u f /x",
    ),
    "an ARG that is empty": ("ARG A\nRUN env >/x", "ARG A=\nRUN env >/x"),
    "an interpreter's argument": ("RUN <<E\n#!/bin/sh\necho $- >/x\nE", "RUN <<E\n#!/bin/sh -e\necho $- >/x\nE"),
    "quotes of a heredoc": ("RUN cat <<E >/x\n$((1+1))\nE", "RUN cat <<'E' >/x\n$((1+1))\nE"),
    "tabs of a heredoc": ("RUN cat <<-E >/x\n\t1\nE", "RUN cat <<E >/x\n\t1\nE"),
    "which of two mounts is on top": (
        "RUN --mount=target=/m,source=d --mount=type=tmpfs,target=/m ls /m >/x",
        "RUN --mount=type=tmpfs,target=/m --mount=target=/m,source=d ls /m >/x",
    ),
    "the sandbox": ("RUN grep Cap /proc/self/status >/x", "RUN --security=insecure grep Cap /proc/self/status >/x"),
    "owner in a stage": (
        f"{SEED}chown 1 /q/f\nFROM base\nCOPY --from=s /q /x",
        f"{SEED}chown 2 /q/f\nFROM base\nCOPY --from=s /q /x",
    ),
    "owner of a mounted directory of a stage": (
        f"{SEED}chown 1 /q\nFROM base\nRUN --mount=from=s,source=/q,target=/m stat -c %u /m >/x",
        f"{SEED}chown 2 /q\nFROM base\nRUN --mount=from=s,source=/q,target=/m stat -c %u /m >/x",
    ),
    "where a link of a stage leads": (
        f"{SEED}mkdir /r && echo 2 >/r/f && ln -s q /l\nFROM base\nCOPY --from=s /l/f /x",
        f"{SEED}mkdir /r && echo 2 >/r/f && ln -s r /l\nFROM base\nCOPY --from=s /l/f /x",
    ),
}  # fmt: skip


@pytest.fixture
def filled(workshop: Workshop) -> Workshop:
    for name, text in {"f": "one", "g": "two", "d/a": "a", "d/s/b": "b", "e/a": "A", "q1/n": "1", "q2/n": "2"}.items():
        workshop.write(name, text)
    workshop.write("x.tar", tar_of({"in": b"1"}))
    context = workshop.context
    (context / "d/empty").mkdir()
    (context / "l").symlink_to("f")
    os.link(context / "f", context / "d/hard")
    return workshop


def check(filled: Workshop, before: str, after: str, change: Change) -> None:
    how: Wanted = {
        "build_args": args(SOURCE_DATE_EPOCH="1"),
        "sandbox": SandboxOptions(allowed=frozenset((SECURITY_INSECURE,))),
    }
    filled.build(before, **how)
    change(filled.context)
    again = filled.build(after, **how)
    fresh = filled.build(after, store=filled.store.with_name("fresh"), **how)
    assert again.built.image.layers == fresh.built.image.layers
    reasons = [reason for reasons in again.recorder.missed() for reason in reasons]
    assert "one of its inputs changed" not in reasons


@pytest.mark.parametrize("name", CONTEXTS)
def test_what_changes_in_the_context(filled: Workshop, name: str) -> None:
    line, change = CONTEXTS[name]
    check(filled, f"FROM base\n{line}\n", f"FROM base\n{line}\n", change)


@pytest.mark.parametrize("name", TEXTS)
def test_what_changes_in_the_dockerfile(filled: Workshop, name: str) -> None:
    before, after = (text if text.startswith("FROM") else f"FROM base\n{text}" for text in TEXTS[name])
    check(filled, f"{before}\n", f"{after}\n", lambda _: None)
