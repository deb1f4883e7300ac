"""Files are written atomically."""

import errno
import os
from pathlib import Path

import pytest

from descent.io.files import replacing, save_text


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as temporary:
        temporary.write_text("whole\udc00", encoding="utf-8")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    save_text(tmp_path / "folder" / "ours", "é")
    assert (tmp_path / "folder" / "ours").read_bytes() == b"\xc3\xa9"
    assert (tmp_path / "folder" / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_full_disk_names_the_file_it_has_no_room_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: '.*/m.json'"), replacing(tmp_path / "m.json"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_a_file_that_a_killed_program_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".m.json.part").write_text("half of somethi")
    with replacing(tmp_path / "m.json") as temporary:
        assert temporary.read_bytes() == b""
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]
