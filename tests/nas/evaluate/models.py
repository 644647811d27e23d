"""A small quantized model beside its float network, and images in class folders."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from nas.importer.network import FloatNetwork, converted
from nas.importer.selection import keeping
from nas.quantize.arrange import folded, statistics
from nas.quantize.export import export
from nas.quantize.method import Method
from nas.quantize.pipeline import quantize_network
from rtl.model import IntegerModel
from tests.nas.quantize.networks import all_bits, random_images, random_network

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")


def network(
    classes: int = 5, pool: str = "token", depth: int = 2, keep: Mapping[int, int] | None = None
) -> FloatNetwork:
    made = random_network(
        width=32, heads=2, head_dim=16, hidden=64, depth=depth, classes=classes, pool=pool, seed=3
    )
    source = {"name": "random", "license": "none"}
    named = replace(made, class_names=NAMES[:classes], source=source)
    return keeping(named, keep) if keep else named


def quantized(exact: FloatNetwork, bits: int = 8, images: Tensor | None = None) -> IntegerModel:
    """Quantize, all rows with the same number of bits but for both ends."""
    method = Method(least_squares=False, sweeps=1, seed=1)
    done = converted(folded(exact, method), torch.float32)
    rows = all_bits(done, bits)
    images = random_images(24) if images is None else images
    seen = statistics(done, images)
    result = quantize_network(done, images, seen, method, rows, granularity=8)
    host = "a.host.onnx" if exact.host else ""
    return export(result, granularity=8, producer="test", host_file=host)


def save_images(images: Tensor, folder: Path, labels: list[str] | None = None) -> Path:
    """Write images, each into the folder of its label."""
    for number, pixels in enumerate(images.numpy()):
        inside = folder / (labels[number] if labels else "")
        inside.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(inside / f"{number:03}.png")
    return folder
