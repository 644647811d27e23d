"""The files in a folder of the transformers library."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from nas.importer.transformers_folder import TransformersFolder, is_of_transformers, read_json
from rtl.errors import UserError

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def sharded(tmp_path):
    """Weights in two parts."""
    save_file({"a": torch.ones(2)}, tmp_path / FIRST)
    save_file({"b": torch.zeros(3)}, tmp_path / SECOND)
    index = {"metadata": {"total_size": 20}, "weight_map": {"a": FIRST, "b": SECOND}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    return tmp_path


def test_weights_in_parts(sharded):
    folder = TransformersFolder(sharded)
    assert {key: len(tensor) for key, tensor in folder.tensors().items()} == {"a": 2, "b": 3}
    content = (sharded / FIRST).read_bytes() + (sharded / SECOND).read_bytes()
    assert folder.sha256() == hashlib.sha256(content).hexdigest()


def test_a_part_that_is_missing(sharded):
    (sharded / SECOND).unlink()
    with pytest.raises(UserError, match=f"{SECOND}: no such file, one of the 2 that model.safe"):
        _ = TransformersFolder(sharded).files
    (sharded / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(UserError, match="has no 'weight_map'"):
        _ = TransformersFolder(sharded).files


def test_weights_of_torch_come_second(tmp_path):
    torch.save({"a": torch.ones(4)}, tmp_path / "pytorch_model.bin")
    assert list(TransformersFolder(tmp_path).tensors()) == ["a"]
    save_file({"b": torch.ones(4)}, tmp_path / "model.safetensors")
    assert list(TransformersFolder(tmp_path).tensors()) == ["b"]
    given = TransformersFolder(tmp_path, tmp_path / "pytorch_model.bin")
    assert list(given.tensors()) == ["a"]


def test_no_weights(tmp_path):
    with pytest.raises(UserError, match=r"no weights in it .*_model.bin\): give --checkpoint"):
        _ = TransformersFolder(tmp_path).files
    (tmp_path / "tf_model.h5").touch()
    with pytest.raises(UserError, match=r", but tf_model.h5, of another framework: give --check"):
        _ = TransformersFolder(tmp_path).files


@pytest.mark.parametrize(
    ("config", "answer"),
    [
        ({"model_type": "vit"}, True),
        ({"architecture": "vit_tiny_patch16_224"}, False),
        ({"architecture": "vit_tiny_patch16_224", "model_type": "timm_wrapper"}, False),
    ],
)
def test_whose_folder_it_is(tmp_path, config, answer):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert is_of_transformers(tmp_path) is answer
    assert not is_of_transformers(tmp_path.parent)


def test_the_card_states_the_licence(tmp_path):
    folder = TransformersFolder(tmp_path)
    assert folder.license is None
    (tmp_path / "README.md").write_text("---\ntags:\n- vision\nlicense: apache-2.0\n---\n# ViT\n")
    assert folder.license == "apache-2.0"
    (tmp_path / "README.md").write_text("license: none\n")
    assert folder.license is None


def test_json_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read: Expecting"):
        read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UserError, match="holds no object"):
        read_json(tmp_path / "config.json")
