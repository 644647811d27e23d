"""Training that begins with a vision transformer trained on the digits, beside random weights.

In ten epochs of each stage, as it is little training that a start should save. The transformer has
the sizes of the largest subnet, and saw the same images. Measured in quantized mode on the
validation images, as :mod:`nas.studies.supernet` does; no test image is seen.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from nas.digits import CLASS_NAMES, DIGITS
from nas.studies.options import StudyOptions
from nas.studies.setup import study_data
from nas.studies.supernet import compare
from nas.task.networks import with_start
from nas.training.recipe import TrainConfig
from nas.vit.digit_network import SIZES, DigitRecipe, train
from nas.warm.source import NetworkSource
from rtl.console import progress_bars

SEEDS = 3  # if not said otherwise
EPOCHS = 10  # of each stage: in five, seeds of one recipe lie .3 apart
SOURCES = "digit-networks"  # folder of the transformers


def run(options: StudyOptions) -> dict[str, Any]:
    """Do the study; return what it writes.

    Raises
    ------
    UserError
        If the folder cannot be written, or training diverges.
    """
    return compare(options, "warm", options.seeds or SEEDS, partial(starts, options))


def starts(options: StudyOptions, config: TrainConfig) -> dict[str, TrainConfig]:
    """Return recipes by name: random weights, then starts from a network of the same seed."""
    short = shortened(config)
    source = NetworkSource(str(trained_network(options, config.seed)))
    warm = with_start(short, source, CLASS_NAMES, Console(stderr=True))
    return {
        "random weights": short,
        "trained network": warm,
        "trained network, quantized stage alone": replace(warm, float_epochs=0),
    }


def shortened(config: TrainConfig) -> TrainConfig:
    """Return a recipe with no more than :data:`EPOCHS` of each stage."""
    return replace(
        config,
        float_epochs=min(config.float_epochs, EPOCHS),
        quantized_epochs=min(config.quantized_epochs, EPOCHS),
    )


def trained_network(options: StudyOptions, seed: int) -> Path:
    """Train a vision transformer on the digits, unless that is done; return its folder."""
    recipe = DigitRecipe(seed=seed)
    name = f"{'quick-' if options.quick else ''}{seed}"
    folder = options.out / SOURCES / name
    if options.quick:
        recipe = replace(recipe, epochs=1)
    with progress_bars(console=Console(stderr=True)) as bars:
        bar = bars.add_task(f"seed {seed}: vision transformer", total=recipe.epochs)
        train(
            folder,
            study_data(options).train,
            recipe,
            lambda epoch, _: bars.update(bar, completed=epoch),
            sizes=largest_sizes(),
        )
    return folder


def largest_sizes() -> dict[str, Any]:
    """Return timm's arguments for a network of the sizes of the digits' largest subnet."""
    largest = DIGITS.largest()
    return SIZES | {
        "embed_dim": largest.width,
        "depth": largest.depth,
        "num_heads": largest.blocks[0].heads,
        "mlp_ratio": largest.blocks[0].mlp_ratio,
    }
