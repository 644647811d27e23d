"""Files are looked at once, and again when they change."""

import hashlib
import os

import numpy as np
import pytest

from nas.task import survey as module
from nas.task.pixels import Look
from nas.task.survey import KnownFiles, survey
from tests.nas.task.folders import fill, picture

LOOK = Look(16, 4, "RGB")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path / "cache"))
    return sorted(fill(tmp_path / "images", 40).rglob("*.png"))


def looked_at(files, monkeypatch):
    """Survey files; return their hashes, and which of them were opened."""
    opened = []

    def prepare(file, *how):
        opened.append(file)
        return original(file, *how)

    original = module.prepare
    with monkeypatch.context() as patch:
        patch.setattr(module, "prepare", prepare)
        digests, problems = survey(files, LOOK)
    assert not problems
    return digests, opened


def test_hashes_of_the_content(files, monkeypatch):
    digests, opened = looked_at(files, monkeypatch)
    assert opened == files and digests.shape == (80, 32)
    for file, digest in zip(files, digests, strict=True):
        assert digest.tobytes() == hashlib.sha256(file.read_bytes()).digest()


def test_hashes_are_kept_along_the_way(files, monkeypatch):
    monkeypatch.setattr(module, "KEPT_AT_ONCE", 64)
    monkeypatch.setattr(KnownFiles, "add", lambda *of: kept.append(len(of[1])))
    kept = []
    survey(files, LOOK)
    assert kept == [64, 16]


def test_a_second_time_only_what_changed_is_opened(files, monkeypatch):
    before, _ = looked_at(files, monkeypatch)
    picture(files[7], seed=1000)
    state = files[9].stat()
    os.utime(files[9], ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    after, opened = looked_at(files, monkeypatch)
    assert opened == [files[7], files[9]]
    assert np.flatnonzero((before != after).any(1)).tolist() == [7]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_read_is_named_every_time(workers, files):
    files[3].write_bytes(b"no picture")
    for _ in range(2):
        seen = []
        digests, problems = survey(files, LOOK, workers, seen.append)
        assert list(problems) == [3] and str(files[3]) in str(problems[3])
        assert len(digests) == 79 and sum(seen) == 80


def test_without_a_place_for_the_data_base(files, tmp_path, monkeypatch):
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path / "blocked"))
    assert len(survey(files, LOOK)[0]) == 80


def test_a_damaged_data_base_is_none(files, tmp_path):
    (tmp_path / "known").write_bytes(b"damaged" * 1000)
    known = KnownFiles(tmp_path / "known")
    known.add([(files[0], bytes(32))])
    assert known.digests(files) == [None] * 80
