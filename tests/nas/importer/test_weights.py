"""Checkpoint files: tensors are found wherever they are, code is never run."""

import argparse

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nas.importer.weights import read_tensors, read_weights
from rtl.errors import UserError

STEM = {"patch_embed.proj.weight": torch.ones(2, 3, 4, 4), "head.bias": torch.zeros(2)}


def prefixed(prefix, tensors=None):
    return {prefix + key: value for key, value in (tensors or STEM).items()}


@pytest.mark.parametrize(
    "content, notes",
    [
        (STEM, ()),
        ({"model": STEM, "epoch": 3}, ("weights are those under 'model', not 'epoch'",)),
        (
            {"state_dict": prefixed("x."), "state_dict_ema": STEM},
            ("weights are those under 'state_dict_ema', not 'state_dict'",),
        ),
        (
            {"model_ema": {"module": STEM}},
            ("weights are those under 'model_ema'", "weights are those under 'module'"),
        ),
        (prefixed("module."), ("removed the prefix 'module.'",)),
        (
            {"state_dict": prefixed("module.backbone.") | {"decode.bias": torch.ones(1)}},
            (
                "weights are those under 'state_dict'",
                "removed the prefix 'module.backbone.'; left out 1 tensors without it"
                " (decode.bias)",
            ),
        ),
    ],
)
def test_weights_are_found_and_it_is_said_where(tmp_path, content, notes):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    found = read_weights(path)
    assert found.tensors.keys() == STEM.keys() and found.notes == notes


def test_a_safetensors_file_may_state_its_licence(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(STEM, path, metadata={"license": "cc-by-4.0"})
    assert read_weights(path).license == "cc-by-4.0"
    save_file(STEM, path)
    assert read_weights(path).license is None


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (open, (Trap.path, "w"))


def test_code_is_never_run(tmp_path):
    Trap.path = str(tmp_path / "run")
    path = tmp_path / "run.pth"
    torch.save({"model": STEM, "trap": Trap()}, path)
    with pytest.raises(UserError, match=r"run.pth: holds more than weights") as error:
        read_weights(path)
    assert "torch.save(model.state_dict(), FILE)" in str(error.value)
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_what_lies_beside_the_weights_of_a_training_is_ignored_and_named(tmp_path):
    path = tmp_path / "checkpoint.pth"
    content = {
        "model": prefixed("module."),
        "optimizer": {"state": {0: {"step": torch.ones(1)}}},
        "args": argparse.Namespace(lr=1e-3, data="images", betas=(0.9, 0.99)),
        "best": np.float64(0.71),
        "epoch": 3,
    }
    torch.save(content, path)
    found = read_weights(path)
    assert found.tensors.keys() == STEM.keys()
    assert found.notes == (
        "weights are those under 'model', not 'optimizer', 'args', 'best', 'epoch'",
        "removed the prefix 'module.'",
    )


@pytest.mark.parametrize(
    "content, message",
    [
        (
            {"conv1.weight": torch.ones(1)},
            "no 'patch_embed.proj.weight' of a timm model in it",
        ),
        ([1, 2], "holds no mapping of names to weights"),
        (prefixed("teacher.") | prefixed("student."), "several networks in one file: teacher.pat"),
    ],
)
def test_other_content(tmp_path, content, message):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=message):
        read_weights(path)


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
@pytest.mark.parametrize("content", [b"", b"junk", b"not a checkpoint at all", b"PK\3\4"])
def test_damaged_files(tmp_path, name, content):
    path = tmp_path / name
    with pytest.raises(UserError, match=r"no such file"):
        read_weights(path)
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{name}: ") as error:
        read_weights(path)
    assert "\n" not in str(error.value)


def test_forms_of_q_k_and_v():
    """Separate biases and matrices become timm's joint ones; a missing bias of K is 0."""
    from nas.importer.weights import _joined

    one, two = torch.ones(2), torch.full((2,), 2.0)
    found = _joined({"blocks.0.attn.q_bias": one, "blocks.0.attn.v_bias": two})
    assert {k: v.tolist() for k, v in found.items()} == {
        "blocks.0.attn.qkv.bias": [1, 1, 0, 0, 2, 2]
    }
    names = [f"blocks.0.attn.{each}_proj.weight" for each in "qkv"]
    found = _joined(dict(zip(names, torch.arange(6.0).reshape(3, 1, 2), strict=True)))
    assert found["blocks.0.attn.qkv.weight"].tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_tensors_as_they_are(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    save_file(STEM, path) if ending == "safetensors" else torch.save(STEM, path)
    assert read_tensors(path).keys() == STEM.keys()
    with pytest.raises(UserError, match=r"b.bin: no such file"):
        read_tensors(tmp_path / "b.bin")


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_a_pointer_of_git_lfs(tmp_path, name):
    path = tmp_path / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match=f"{name}: a pointer of Git LFS.*run git lfs pull"):
        read_tensors(path)
