"""Files appear whole or not at all."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from rtl.errors import UserError
from rtl.files import (
    atomic_directory,
    atomic_write,
    require_results,
    require_space,
    require_writable,
    sha256_of,
)


def test_bytes_and_text(tmp_path):
    with atomic_write(tmp_path / "a" / "data.bin") as file:
        file.write(b"\x00\xff")
    with atomic_write(tmp_path / "a" / "text.json", "w") as file:
        file.write("× 2")
    assert (tmp_path / "a" / "data.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "a" / "text.json").read_text(encoding="utf-8") == "× 2"
    assert sorted(os.listdir(tmp_path / "a")) == ["data.bin", "text.json"]


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file(tmp_path, interruption):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(interruption), atomic_write(path) as file:
        file.write(b"half of the n")
        raise interruption
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_nothing_is_visible_before_the_end(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"


def test_the_error_names_the_file_that_was_asked_for(tmp_path):
    (tmp_path / "plain").write_text("a file, not a directory")
    with pytest.raises(NotADirectoryError) as error, atomic_write(tmp_path / "plain" / "x"):
        pass
    assert error.value.filename == str(tmp_path / "plain")
    (tmp_path / "directory" / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as error, atomic_write(tmp_path / "directory") as file:
        file.write(b"")
    assert error.value.filename == str(tmp_path / "directory")
    assert sorted(os.listdir(tmp_path)) == ["directory", "plain"]


def test_the_error_names_the_file_on_a_full_disk(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(OSError) as error, atomic_write(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as write() does
    assert error.value.filename == str(path)
    assert os.listdir(tmp_path) == []


def test_require_writable(tmp_path):
    old = tmp_path / "old"
    old.write_text("old")
    for path in (old, tmp_path / "folder" / "new"):
        require_writable(path)
    assert old.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["folder", "old"]
    assert os.listdir(tmp_path / "folder") == []
    with pytest.raises(IsADirectoryError) as error:
        require_writable(tmp_path / "folder")
    assert error.value.filename == str(tmp_path / "folder")
    for path in (old / "x", old / "x" / "y"):
        with pytest.raises(NotADirectoryError):
            require_writable(path)


def test_results_replace_neither_inputs_nor_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "a.pulsar"
    model.write_text("model")
    require_results((None, tmp_path / "new" / "a.json", "b.html"), (model, None, "deit_tiny"))
    assert sorted(os.listdir(tmp_path)) == ["a.pulsar", "new"]
    with pytest.raises(UserError, match=r"^new/../a.pulsar .*: the command reads this file itself"):
        require_results(["b.json", "new/../a.pulsar"], [model])
    with pytest.raises(UserError, match=r"^./b.json .*: the command writes another result there"):
        require_results(["b.json", "./b.json"])
    with pytest.raises(IsADirectoryError):
        require_results(["new"])
    os.symlink("a.pulsar", "link")
    with pytest.raises(UserError, match=r"^link cannot be written"):
        require_results(["link"], [model])
    os.symlink("loop", "loop")
    require_results(["loop"], ["other"])
    assert model.read_text() == "model"


def test_mode_is_checked(tmp_path):
    with pytest.raises(ValueError, match="mode must be 'wb' or 'w', not 'a'"):
        with atomic_write(tmp_path / "file", "a"):
            pass


def test_directory_appears_at_the_end(tmp_path):
    path = tmp_path / "cache" / "entry"
    with atomic_directory(path) as fresh:
        (fresh / "file").write_text("x")
        assert not path.exists()
    assert (path / "file").read_text() == "x"
    assert os.listdir(tmp_path / "cache") == ["entry"]


def test_directory_does_not_appear_after_an_exception(tmp_path):
    with pytest.raises(RuntimeError), atomic_directory(tmp_path / "entry") as fresh:
        (fresh / "file").write_text("x")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_of_two_equal_directories_the_first_stays(tmp_path):
    with atomic_directory(tmp_path / "entry") as second:
        (second / "file").write_text("second")
        with atomic_directory(tmp_path / "entry") as first:
            (first / "file").write_text("first")
    assert (tmp_path / "entry" / "file").read_text() == "first"
    assert os.listdir(tmp_path) == ["entry"]


def test_hash_is_of_content_and_of_the_division_into_parts(tmp_path):
    (tmp_path / "one").write_bytes(b"data")
    (tmp_path / "two").write_bytes(b"data")
    assert sha256_of(tmp_path / "one") == sha256_of(tmp_path / "two") == sha256_of("data")
    assert sha256_of("ab", "c") != sha256_of("a", "bc")
    assert len(sha256_of()) == 64
    assert sha256_of(Path(__file__)) != sha256_of(str(Path(__file__)))


def test_a_nearly_full_disk_shows_before_the_work(tmp_path, monkeypatch):
    asked = []

    def disk_usage(path):
        asked.append(path)
        return SimpleNamespace(total=0, used=0, free=41_999_999)

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    missing = tmp_path / "not" / "yet"
    require_space(missing, 41)
    with pytest.raises(OSError) as error:
        require_space(missing, 42)
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(missing))
    assert error.value.strerror.endswith(": 41 MB free, 42 MB needed")
    assert asked == [tmp_path, tmp_path] and not missing.exists()
