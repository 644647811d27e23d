"""An interrupted run goes on where it was, and gives the same as one that was not."""

from dataclasses import replace

import pytest
import torch

from nas.importer.network import converted
from nas.importer.selection import keeping
from nas.quantize.arrange import folded, statistics
from nas.quantize.kept import KeptBlocks, key_of
from nas.quantize.method import Method
from nas.quantize.pipeline import quantize_network
from tests.nas.quantize.networks import all_bits, random_images, random_network

METHOD = Method()
NETWORK = converted(folded(random_network(classes=0, depth=3), METHOD), torch.float32)
IMAGES = random_images(10)
SEEN = statistics(NETWORK, IMAGES)
BITS = all_bits(NETWORK, 4) | {
    name: bits for name, bits in all_bits(NETWORK, 8).items() if name.endswith("fc2")
}


def quantized(kept=None, progress=lambda *step: None):
    return quantize_network(
        NETWORK, IMAGES, SEEN, METHOD, BITS, granularity=8, kept=kept, progress=progress
    )


def test_interrupted_run_gives_the_same(tmp_path):
    kept = KeptBlocks(tmp_path / "work", "a" * 64)

    def stop(what, step, steps):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantized(kept, stop)
    assert len(list((tmp_path / "work").iterdir())) == 2
    resumed, whole = quantized(kept), quantized()
    for name, rows in whole.rows.items():
        assert torch.equal(rows.codes, resumed.rows[name].codes), name
        assert torch.equal(rows.step, resumed.rows[name].step), name
    for one, other in zip(whole.codes.blocks, resumed.codes.blocks, strict=True):
        assert torch.equal(one.hidden.scale, other.hidden.scale)
    kept.clear()
    assert not (tmp_path / "work").exists()


def test_kept_blocks_are_used(tmp_path, monkeypatch):
    kept = KeptBlocks(tmp_path, "b" * 64)
    first = quantized(kept)
    calls = []
    monkeypatch.setattr("nas.quantize.pipeline.BlockQuantizer.quantize", calls.append)
    again = quantized(kept)
    assert not calls
    assert all(torch.equal(rows.codes, again.rows[name].codes) for name, rows in first.rows.items())


def test_damaged_files_are_made_again(tmp_path):
    kept = KeptBlocks(tmp_path, "c" * 64)
    quantized(kept)
    file = next(tmp_path.glob("*-1.*"))
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    assert kept.load(1, NETWORK.blocks[1]) is None
    quantized(kept)
    assert file.read_bytes() == whole


def test_other_runs_stay_when_one_is_cleared(tmp_path):
    one, other = KeptBlocks(tmp_path, "d" * 64), KeptBlocks(tmp_path, "e" * 64)
    quantized(one)
    quantized(other)
    one.clear()
    assert one.load(0, NETWORK.blocks[0]) is None
    assert other.load(0, NETWORK.blocks[0]) is not None


def test_key_depends_on_everything():
    keys = {
        key_of(NETWORK, IMAGES, METHOD, BITS),
        key_of(NETWORK, IMAGES[:9], METHOD, BITS),
        key_of(NETWORK, IMAGES, replace(METHOD, ridge=0.5), BITS),
        key_of(NETWORK, IMAGES, METHOD, all_bits(NETWORK, 8)),
        key_of(replace(NETWORK, position=NETWORK.position * 2), IMAGES, METHOD, BITS),
        key_of(keeping(NETWORK, {0: 4}), IMAGES, METHOD, BITS),
        key_of(keeping(NETWORK, {1: 4}), IMAGES, METHOD, BITS),
    }
    assert len(keys) == 7
    assert key_of(NETWORK, IMAGES, METHOD, BITS) in keys
