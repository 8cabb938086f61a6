from pathlib import Path

import pytest

from fswatch_builder.observing.kernel_writers import WrittenByKernel, kernel_writers

MOUNTS = r"""
21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:5 / /merged rw - overlay none rw,lowerdir=/l,upperdir=/srv/up\054per,workdir=/srv/work
23 21 0:6 / /other rw - overlay none rw,lowerdir=/l,upperdir=up,workdir=work
24 21 0:7 / /third rw - overlay none ro,lowerdir=/srv/l:/m
25 21 0:8 / /fourth rw - tmpfs upperdir=/srv/x rw,upperdir=/srv/y
"""
SWAPS = r"""
Filename				Type		Size		Used		Priority
/dev/sda2                               partition	1048572		0		-2
/srv/a\040swap                          file		1048572		0		-3
/srv/gone\040(deleted)                  file		1048572		0		-4
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for name, path in (("loop0", "/srv/d/image"), ("loop1", "/srv/gone (deleted)"), ("loop2", "/srvother/image")):
        (tmp_path / "sys/block" / name / "loop").mkdir(parents=True)
        (tmp_path / "sys/block" / name / "loop/backing_file").write_text(path + "\n")
    (tmp_path / "sys/block/loop3").mkdir()
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(MOUNTS.lstrip())
    (tmp_path / "proc/swaps").write_text(SWAPS.lstrip())
    return tmp_path


def found(host: Path, directory: bytes) -> tuple[WrittenByKernel, ...]:
    return kernel_writers(directory, sys=f"{host}/sys", proc=f"{host}/proc")


def test_what_the_kernel_writes_to_below_a_directory_is_found(host: Path) -> None:
    assert found(host, b"/srv") == (
        WrittenByKernel(b"a swap", "is swapped to", "entry"),
        WrittenByKernel(b"d/image", "is the file of loop0", "entry"),
        WrittenByKernel(b"up,per", "is written to by the overlay at /merged", "subtree"),
    )
    assert [place.path for place in found(host, b"/srv/up,per")] == [b""]
    assert [place.path for place in found(host, b"/")] == [
        b"srv/a swap",
        b"srv/d/image",
        b"srv/up,per",
        b"srvother/image",
    ]
    assert found(host, b"/etc") == ()


def test_a_kernel_without_swap_and_loop_devices_has_none(host: Path) -> None:
    (host / "proc/swaps").unlink()
    (host / "proc/self/mountinfo").write_text("")
    assert kernel_writers(b"/", sys=f"{host}/none", proc=f"{host}/proc") == ()


def test_the_tables_of_this_host_are_understood() -> None:
    assert all(place.path for place in kernel_writers(b"/"))
