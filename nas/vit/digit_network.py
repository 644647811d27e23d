"""A small vision transformer of timm's, trained on digits, saved as timm does, quantized.

It shows the way of one's own network: :func:`train` knows nothing of the integer model, and what it
leaves in a folder is imported like any other network.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import save_for_hf
from torch import Tensor
from torch.nn import functional

from nas.data import Images
from nas.digits import AUGMENTATION, PIXEL_MEAN, PIXEL_STD
from nas.importer.forward import forward, logits
from nas.importer.network import converted
from nas.numerics.integer import IntegerNetwork
from nas.vit.digits import DigitSets, RowAccuracy, prepared, write_pictures
from nas.vit.example import Example
from nas.vit.rows import Row
from rtl.files import atomic_directory
from rtl.model import IntegerModel

ARCHITECTURE = "vit_tiny_patch16_224"
SIZES: dict[str, Any] = {
    **{"img_size": 28, "in_chans": 1, "patch_size": 7, "num_classes": 10},
    **{"embed_dim": 96, "depth": 6, "num_heads": 3},
}
MEAN, STD = PIXEL_MEAN[0] / 255, PIXEL_STD / 255
TRAINED = "trained.json"


@dataclass(frozen=True)
class DigitRecipe:
    """Training of the digits' network.

    Parameters
    ----------
    epochs, batch : int
    rate : float
        Peak of the learning rate.
    decay : float
        Of the weights.
    smoothing : float
        Of the labels.
    seed : int
    """

    epochs: int = 40
    batch: int = 50
    rate: float = 1e-3
    decay: float = 0.05
    smoothing: float = 0.1
    seed: int = 0


def train(
    folder: Path,
    digits: Images,
    recipe: DigitRecipe,
    progress: Callable[[int, int], None] = lambda epoch, epochs: None,
    sizes: Mapping[str, Any] = SIZES,
) -> None:
    """Train a network and leave it in a folder, unless that is there.

    Parameters
    ----------
    folder : Path
        For ``config.json`` and ``model.safetensors``, as timm writes them.
    digits : Images
    recipe : DigitRecipe
    progress : callable
        Is told the epoch, and of how many.
    sizes : mapping
        Arguments of timm's model.
    """
    if (folder / TRAINED).is_file():
        return
    started = time.monotonic()
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    model = timm.create_model(ARCHITECTURE, **sizes)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.rate, weight_decay=recipe.decay)
    steps = recipe.epochs * (len(digits) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps)
    for epoch in range(recipe.epochs):
        progress(epoch, recipe.epochs)
        order = torch.randperm(len(digits), generator=generator)
        for chosen in order[: len(digits) // recipe.batch * recipe.batch].split(recipe.batch):
            images = normalised(AUGMENTATION(digits.pixels[chosen], generator))
            loss = functional.cross_entropy(
                model(images), digits.labels[chosen], label_smoothing=recipe.smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    progress(recipe.epochs, recipe.epochs)
    facts = {"seconds": round(time.monotonic() - started, 1), "epochs": recipe.epochs}
    with atomic_directory(folder) as fresh:
        save(fresh, model, sizes)
        (fresh / TRAINED).write_text(json.dumps(facts))


def save(folder: Path, model: torch.nn.Module, sizes: Mapping[str, Any] = SIZES) -> None:
    """Write a network's weights and configuration into a folder, as timm does."""
    steps = {"mean": (MEAN,), "std": (STD,), "interpolation": "bilinear", "crop_pct": 1.0}
    size, args = sizes["img_size"], dict(sizes)
    data = {"input_size": (sizes["in_chans"], size, size), **steps}
    save_for_hf(model, str(folder), model_args=args, safe_serialization=True, data_config=data)


def normalised(images: Tensor) -> Tensor:
    """(batch, height, width, 1) uint8 to (batch, 1, height, width) float32."""
    return (images.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD


def digits_example(example: Example, digits: DigitSets, recipe: DigitRecipe) -> Example:
    """Train the network, unless that is done, and return it with digits to calibrate it."""
    folder = example.folder / "digits"
    network = folder / "network"
    with example.console.status("Training a small ViT on the digits"):
        train(network, digits.train, recipe)
    pictures = write_pictures(folder / "calibration", digits.calibration)
    return replace(
        example, folder=folder, source=str(network), calibration=pictures, test=(), options={}
    )


def measure(example: Example, digits: DigitSets, engine: str) -> dict[str, Any]:
    """Measure the float network's accuracy, and that of W8A6, W4A6, and half way between.

    Parameters
    ----------
    example : Example
        As :func:`digits_example` makes it.
    digits : DigitSets
    engine : str
    """
    images, labels = prepared(digits.test, example.network), digits.test.labels
    single = converted(example.network, torch.float32)
    with torch.no_grad():
        chunks = [logits(single, forward(single, chunk)) for chunk in images.split(100)]
    expected = torch.cat(chunks).argmax(1)
    ends = (Row("w8a6", engine=engine), Row("w4a6", "4", engine=engine))
    made = {row.name: example.make(row) for row in ends}
    middle = (made["w8a6"].cost.cycles + made["w4a6"].cost.cycles) // 2
    made["mixed"] = example.make(Row("mixed", "mixed", middle, engine))

    def answers(model: IntegerModel) -> list[int]:
        return IntegerNetwork(model).run(images).argmax(1).tolist()

    rows = [
        RowAccuracy.of(name, answers(made[name].model), expected.tolist(), labels)
        for name in ("w8a6", "mixed", "w4a6")
    ]
    return {
        "accuracy": float((expected == labels).double().mean()),
        "seconds": json.loads((Path(example.source) / TRAINED).read_text())["seconds"],
        "cycles": {name: each.cost.cycles for name, each in made.items()},
        "rows": rows,
    }
