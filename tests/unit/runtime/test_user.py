"""USER and --chown, by the files of the image."""

import os
from pathlib import Path

import pytest

from fswatch_builder._native import Rootfs
from fswatch_builder.errors import BaseImageError, DockerfileError
from fswatch_builder.runtime.user import LARGEST_FILE, Identity, resolve_owner, resolve_user


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("", Identity(0, 0, (0,), "/root")),
        ("root", Identity(0, 0, (0,), "/root")),
        ("app", Identity(1000, 1000, (1000, 50, 63), "/home/app")),
        ("1000", Identity(1000, 1000, (1000, 50, 63), "/home/app")),
        ("app:", Identity(1000, 1000, (1000, 50, 63), "/home/app")),
        ("app:audio", Identity(1000, 63, (63,), "/home/app")),
        ("1000:4242", Identity(1000, 4242, (4242,), "/home/app")),
        ("4242", Identity(4242, 0, (0,), "/")),
        ("4242:4243", Identity(4242, 4243, (4243,), "/")),
        (":audio", Identity(0, 63, (63,), "/root")),
        ("2147483647", Identity(2147483647, 0, (0,), "/")),
    ],
)
def test_user(rootfs: Rootfs, text: str, identity: Identity) -> None:
    assert resolve_user(rootfs, text) == identity


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("app", (1000, 1000)),
        ("daemon", (1, 1)),
        ("1000", (1000, 1000)),
        ("55", (55, 55)),
        ("app:audio", (1000, 63)),
        ("app:7", (1000, 7)),
        ("7:audio", (7, 63)),
        (":audio", (0, 63)),
    ],
)
def test_owner(rootfs: Rootfs, text: str, owner: tuple[int, int]) -> None:
    assert resolve_owner(rootfs, text) == owner


@pytest.mark.parametrize("resolve", [resolve_user, resolve_owner])
@pytest.mark.parametrize("text", ["nobody-here", "root:nobodies", "-1", "1e3", "²"])
def test_an_unknown_name_is_an_error_that_names_it(rootfs: Rootfs, resolve: object, text: str) -> None:
    with pytest.raises(DockerfileError, match=r"unable to find (user|group)"):
        resolve(rootfs, text)  # type: ignore[operator]


@pytest.mark.parametrize("resolve", [resolve_user, resolve_owner])
@pytest.mark.parametrize("text", ["4294967296", "2147483648", "0:4294967296", "9" * 5000])
def test_a_number_does_not_wrap_round_to_root(rootfs: Rootfs, resolve: object, text: str) -> None:
    with pytest.raises(DockerfileError, match="out of range"):
        resolve(rootfs, text)  # type: ignore[operator]


def test_an_entry_with_a_number_out_of_range_is_no_user(root: Path, rootfs: Rootfs) -> None:
    (root / "etc/passwd").write_text("evil:x:4294967296:0::/:\nbroken\n#app:x:1:1::/:\n")
    with pytest.raises(DockerfileError):
        resolve_user(rootfs, "evil")
    with pytest.raises(DockerfileError):
        resolve_user(rootfs, "#app")


def test_without_files_numbers_work_and_names_do_not(tmp_path: Path) -> None:
    scratch = Rootfs(os.fsencode(tmp_path))
    assert resolve_user(scratch, "") == Identity(0, 0, (0,), "/")
    assert resolve_owner(scratch, "7:8") == (7, 8)
    with pytest.raises(DockerfileError):
        resolve_owner(scratch, "root")


def test_the_hosts_files_are_out_of_reach(root: Path, rootfs: Rootfs, tmp_path: Path) -> None:
    outside = tmp_path / "passwd"
    outside.write_text("outsider:x:7:7::/:\n")
    for target in (outside, "../../passwd"):
        (root / "etc/passwd").unlink()
        (root / "etc/passwd").symlink_to(target)
        with pytest.raises(DockerfileError):
            resolve_user(rootfs, "outsider")


def test_a_fifo_for_passwd_does_not_hang(root: Path, rootfs: Rootfs) -> None:
    (root / "etc/passwd").unlink()
    os.mkfifo(root / "etc/passwd")
    with pytest.raises(BaseImageError, match="/etc/passwd is not a regular file"):
        resolve_user(rootfs, "app")


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_a_huge_file_is_refused_and_not_read(root: Path, rootfs: Rootfs, name: str) -> None:
    os.truncate(root / "etc" / name, LARGEST_FILE + 1)
    with pytest.raises(BaseImageError, match=f"/etc/{name} is larger than"):
        resolve_user(rootfs, "app")
