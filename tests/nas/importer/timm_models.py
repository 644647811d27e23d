"""Small models of timm's with random weights, and folders as timm saves them."""

import json
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
CONFIG = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3], "crop_pct": 0.9, "license": "mit"}


def made(architecture: str, **arguments: Any) -> Any:
    """Make a small model, all of whose parameters are random."""
    torch.manual_seed(0)
    model = timm.create_model(architecture, **{**SMALL, **arguments})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def saved(folder: Path, architecture: str, config: dict[str, Any] | None = None, **arguments: Any):
    """Save a small model as timm does for a hub; return it."""
    model = made(architecture, **arguments)
    save_file(model.state_dict(), folder / "model.safetensors")
    content = {
        "architecture": architecture,
        "model_args": {**SMALL, **arguments},
        "pretrained_cfg": CONFIG if config is None else config,
    }
    (folder / "config.json").write_text(json.dumps(content))
    return model


def pixels(size: int = 32, channels: int = 3, batch: int = 2) -> Tensor:
    """Return random images, (batch, size, size, channels) uint8."""
    generator = torch.Generator().manual_seed(1)
    shape = (batch, size, size, channels)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def normalised(images: Tensor, mean: Any, std: Any) -> Tensor:
    """Return images as timm's models take them, (batch, channels, height, width) float64."""
    mean, std = (torch.tensor(each, dtype=torch.float64) for each in (mean, std))
    return ((images.double() / 255 - mean) / std).permute(0, 3, 1, 2)
