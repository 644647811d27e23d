"""Tokens that the quantized example keeps, in small; and the published figures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.importer.forward import embed, output, run_block
from nas.importer.network import converted
from nas.importer.selection import keeping, most_important
from nas.vit import selection
from nas.vit.inputs import input_hashes
from nas.vit.photographs import CROPS, TEST
from nas.vit.rows import RowJob
from rtl.model import IntegerModel
from tests.nas.quantize.networks import random_images, random_network
from tests.nas.vit.conftest import W8A6

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "results" / "selection.json"
IMAGES = random_images(3)


@pytest.fixture(scope="module")
def measured(made, tmp_path_factory):
    example = replace(made[0], folder=tmp_path_factory.mktemp("selection"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowJob, "run", RowJob.here)  # a process of its own takes seconds to start
        return example, selection.measure(example, "0:0.5", W8A6)


def test_figures_are_those_of_the_models(measured):
    example, found = measured
    assert (found["counts"], found["patches"], found["images"]) == ({"0": 5}, 9, 3)
    some, everything = found["rows"]
    model = IntegerModel.load(example.folder / "w8a6_keep.pulsar")
    assert (some["name"], some["model"]) == ("w8a6_keep", model.hash)
    assert [block.keep for block in model.blocks] == [5, None]
    (place,) = some["places"]
    assert (place["block"], place["keep"]) == (0, 5)
    # Both choose among all patches in front of the first block that selects.
    assert place["own"] == place["same"] > 0.5
    assert 0.9 < place["importance"] <= 1
    assert some["cosines"].keys() == {"all", "own", "same", "fused"}
    assert everything["cosines"].keys() == {"all"} and everything["places"] == ()
    assert everything["cosines"]["all"] > 0.95 and some["cosines"]["same"] > 0.9
    for row in found["rows"]:
        assert all(low <= row["cosines"][way] for way, low in row["lowest"].items())
    assert some["cycles"] < everything["cycles"]
    said = selection.tables(found)
    assert [table.row_count for table in said] == [1, 3]


def test_figures_are_kept(measured, monkeypatch, tmp_path):
    example, found = measured
    for name in ("_compared", "_among_themselves"):
        monkeypatch.setattr(selection, name, lambda *args: pytest.fail("measured again"))
    again = selection.measure(example, "0:0.5", W8A6)
    assert again == found
    selection.save(again, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["keep"] == "0:0.5"


def test_a_fused_token_is_the_mean_of_what_is_dropped():
    """Checked token by token, in a network whose class token stays alone in the end."""
    network = keeping(random_network(depth=3, classes=0, pool="token", registers=1), {0: 4, 1: 2})
    found = selection.fused_features(network, IMAGES)
    expected = []
    for image in IMAGES:
        tokens, fused = embed(network, image[None]), []
        for block in network.blocks:
            plain, seen = replace(block, keep=None), {}
            run_block(plain, tokens, 12, lambda name, x, seen=seen: seen.setdefault(name, x))
            stream, weights = seen["attended"][0], seen["attention"][0, :, -1].sum(0)
            if block.keep is not None:
                patches = len(stream) - 2 - len(fused)
                (kept,) = most_important(weights[None, :patches], block.keep, 0).tolist()
                dropped = [j for j in range(patches + len(fused)) if j not in kept]
                mean = sum(weights[j] * stream[j] for j in dropped) / weights[dropped].sum()
                fused = [mean]
                stream = torch.stack([*(stream[j] for j in kept), mean, *stream[-2:]])
            tokens = selection.run_mlp(block, stream[None])
        expected.append(output(network, tokens)[0])
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_fused_token_is_not_chosen_from():
    """Keeping all: nothing is dropped, and what is fused is nothing, but a token all the same."""
    network = keeping(random_network(depth=3, classes=0, pool="token"), {0: 6})
    assert selection.fused_features(network, IMAGES).shape == (3, 24)


def test_tokens_by_chance_are_as_many():
    network = keeping(random_network(depth=3, classes=0, pool="token"), {0: 4, 1: 2})
    own = selection.float_answers(converted(network, torch.float32))(IMAGES)
    drawn = selection._by_chance(network, own, torch.Generator().manual_seed(0))
    for name, kept in own.kept.items():
        assert drawn[name].shape == kept.shape
        assert torch.equal(drawn[name][:, -1], kept[:, -1])


def test_the_published_figures():
    """At least 0.95 of the patches chosen from the same ones, a cosine of at least 0.985."""
    published = json.loads(PUBLISHED.read_text())
    assert published["schema"] == selection.SCHEMA and published["inputs"] == input_hashes()
    assert published["keep"] == "3:0.7,6:0.7,9:0.7"
    assert published["counts"] == {"3": 180, "6": 126, "9": 89}
    assert published["images"] == CROPS[TEST] * 8
    rows = {row["name"]: row for row in published["rows"]}
    assert set(rows) == {"w8a6_keep", "w8a6_all"}
    some = rows["w8a6_keep"]
    assert np.mean([place["same"] for place in some["places"]]) >= 0.95
    assert all(place["importance"] >= 0.99 for place in some["places"])
    assert some["cosines"]["same"] >= 0.985
    assert some["cycles"] < 0.7 * rows["w8a6_all"]["cycles"]
