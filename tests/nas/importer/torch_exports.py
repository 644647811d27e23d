"""CLIP's tower in small, as a timm model and as torch's newer exporter writes it.

That exporter needs the package onnxscript, which tests do without: the files lie beside this one.
Write them again where it is installed: ``python -m tests.nas.importer.torch_exports``.
"""

import warnings
from pathlib import Path
from typing import Any

import onnx
import timm
import torch
from torch import nn

NEWER = {opset: Path(__file__).with_name(f"clip_opset{opset}.onnx") for opset in (18, 23)}
"""By opset: from 23 on there is an operator for attention."""
CLIP = "vit_base_patch16_clip_quickgelu_224"
SIZES: dict[str, Any] = {
    **{"img_size": 12, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2},
    **{"mlp_ratio": 2, "num_classes": 5},
}


def clip() -> nn.Module:
    """Make the tower with the same random weights each time."""
    model = timm.create_model(CLIP, **SIZES)
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def export_older(path: Path, opset: int) -> None:
    """Write the tower with the exporter of older versions of torch, for any number of images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            clip(),
            (torch.zeros(1, 3, 12, 12),),
            path,
            opset_version=opset,
            dynamo=False,
            input_names=["image"],
            dynamic_axes={"image": {0: "batch"}},
        )


def export_newer(path: Path, opset: int) -> None:
    """Write the tower with the newer exporter, without its notes about lines of source code."""
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    images = torch.zeros(2, 3, 12, 12)
    torch.onnx.export(
        clip(),
        (images,),
        path,
        opset_version=opset,
        dynamo=True,
        dynamic_shapes=shapes,
        external_data=False,
    )
    model = onnx.load(path)
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input):
        del part.metadata_props[:]
    onnx.save(model, path)


if __name__ == "__main__":
    for number, file in NEWER.items():
        export_newer(file, number)
