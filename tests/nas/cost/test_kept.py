"""Results on disk: each is kept, whatever happens to the file and whoever else writes to it."""

from math import inf
from multiprocessing import get_context

import pytest

from nas.cost.kept import KeptResults


@pytest.mark.parametrize("value", [7, {"square": 49}, [1.5, inf], None])
def test_values_of_another_run(value, tmp_path):
    path = tmp_path / "folder" / "kept.txt"
    kept = KeptResults(path)
    kept.add("a", value)
    kept.add("b", "other")
    assert kept.values == KeptResults(path).values == {"a": value, "b": "other"}


def test_without_a_file_values_stay_in_memory():
    kept = KeptResults()
    kept.add("a", 7)
    assert kept.values == {"a": 7}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-3],  # cut off
        lambda data: data.replace(b" ", b"\xff", 1),
        lambda data: data.replace(b"71", b"17", 1),
        lambda data: b"",
    ],
    ids=["cut off", "garbled", "another number", "empty"],
)
def test_a_damaged_line_is_left_out_and_can_be_written_again(damage, tmp_path):
    path = tmp_path / "kept.txt"
    KeptResults(path).add("a", [71, 2])
    path.write_bytes(damage(path.read_bytes()))
    kept = KeptResults(path)
    assert kept.values == {}
    kept.add("a", [71, 2])
    assert KeptResults(path).values == {"a": [71, 2]}


def test_a_damaged_line_leaves_the_others(tmp_path):
    path = tmp_path / "kept.txt"
    for key in "abc":
        KeptResults(path).add(key, 0)
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"d"'))
    assert set(KeptResults(path).values) == {"a", "c"}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    kept = KeptResults(tmp_path / "file" / "kept.txt")
    kept.add("a", 7)
    assert kept.values == {"a": 7}


def add_many(path, first):
    kept = KeptResults(path)
    for number in range(first, first + 200):
        kept.add(f"{number:024x}", number)


def test_processes_share_a_file(tmp_path):
    path = tmp_path / "kept.txt"
    context = get_context("spawn")
    writers = [context.Process(target=add_many, args=(path, first)) for first in (0, 200, 400)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert sorted(KeptResults(path).values.values()) == list(range(600))
