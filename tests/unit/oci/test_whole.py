import os
import threading
from pathlib import Path

import pytest

from fswatch_builder.errors import OutputError
from fswatch_builder.oci.whole import check_writable, whole_file


def write(path: Path | str, content: bytes) -> None:
    with whole_file(str(path)) as file:
        file.write(content)


def test_a_file_is_what_it_was_if_writing_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write(path, b"old")
    with pytest.raises(ZeroDivisionError), whole_file(str(path)) as file:
        file.write(bytes(file.write(b"half of the n") // 0))
    assert path.read_bytes() == b"old"
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["f"]


def test_a_failed_write_is_an_error_with_the_path_whatever_its_kind(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write to .*/f: No such file"), whole_file(str(tmp_path / "f")):
        raise FileNotFoundError(2, "No such file or directory")
    with pytest.raises(OutputError, match="cannot write to"):
        write(tmp_path / "missing/f", b"")
    assert os.listdir(tmp_path) == []


def test_a_link_is_kept_and_its_file_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("f")
    write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "f").read_bytes() == b"new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    fifo = tmp_path / "p"
    os.mkfifo(fifo)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    write(fifo, b"through")
    reader.join()
    assert read == [b"through"]
    assert fifo.is_fifo()


def test_what_cannot_be_written_is_told_in_advance(tmp_path: Path) -> None:
    check_writable(str(tmp_path / "f"))
    check_writable("/dev/null")
    check_writable("-")
    for path in (tmp_path, tmp_path / "missing/f"):
        with pytest.raises(OutputError):
            check_writable(str(path))
    assert os.listdir(tmp_path) == []
