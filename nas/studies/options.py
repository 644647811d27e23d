"""Options of ``python -m nas.studies``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rtl.cli import BoardName, Flag
from rtl.errors import UserError

Study = Literal[
    "alone",
    "supernet",
    "ranking",
    "splits",
    "rows",
    "quantizers",
    "importance",
    "step",
    "warm",
    "keep",
    "tricks",
]

LIMITS = (
    ("subnets", 2, 1000),
    ("ranked", 32, 10_000),
    ("seed", 0, 2**31),
    ("seeds", 1, 100),
    ("workers", 1, 256),
)


@dataclass(frozen=True)
class StudyOptions:
    """Study the method; a study that was interrupted continues.

    alone: does sharing weights cost accuracy? Subnets of the supernet, spread evenly over the
    cycles that subnets take, beside the same subnets trained alone by the same recipe for as many
    steps, on the test images. Writes OUT/alone-SEED.json. 12 subnets take half an hour on an idle
    core, after the supernet.

    ranking: does the search select by the right score? Rank correlation of scores with the
    cross-entropy on the test images, over subnets of the bands. Writes OUT/ranking-SEED.json. A
    quarter of an hour, after the supernet.

    splits: does the search help? The main job (nas.search) on five splits, so that each digit is a
    test image once: accuracy of the winners, and what they are better than the best uniform network
    and random ones. On the first split with more seeds, too. Writes OUT/splits-SEED.json. Seven
    runs of about eight minutes on an idle core.

    supernet: does another recipe train better subnets? Channels and heads unsorted, each subnet
    taught by the next larger one, elastic before quantization, layer scaling of its own for each
    width and depth, a longer quantized stage: each beside the recipe with a quantized stage of 30
    epochs, with the same seeds, subnets and validation images. Writes OUT/supernet-SEED.json. A
    training takes four to eight minutes on an idle core, and there are seven for each seed.

    warm: does training gain from a trained network? In ten epochs of each stage, from a
    vision transformer that was trained on the same digits, in both stages or in the quantized one
    alone, beside random weights: same seeds, subnets and validation images. Writes
    OUT/warm-SEED.json. A quarter of an hour on an idle core for three seeds.

    keep: does a selection of tokens make networks faster at equal accuracy? A supernet of 49
    patches with keep among its genes, searched with them and without: for three frame rates the
    best network without selection, the fastest one with it that is not worse on the images that
    choose, and the best without it that is as fast as that, also trained further, on the test
    images. On the board's engine with selection. Writes OUT/keep-SEED.json. Three quarters of an
    hour on an idle core.

    tricks: do tricks of other papers help a step? Losses that spread queries and keys, or draw
    attention weights to those of float mode; training on the harder half of the images, or on half
    of the patches: in ten epochs of each stage, with the same seeds, subnets and validation
    images. Writes OUT/tricks-SEED.json. Half an hour on an idle core for three seeds.

    rows: which rows should have 8 bits? The trained ViT-S of nox -s vit at equal cycles: rows
    against whole layers, and the score that chooses them, on the zcu102's engine whatever --board.
    Writes OUT/rows-SEED.json. Fetches the network at the first time, 90 MB.

    quantizers: would codes of others be better? RepQ-ViT, FQ-ViT, AdaLog and DopQ-ViT in the place
    of this pipeline's codes of LayerNorm, GELU and attention weights, on the network and the
    photographs of nox -s vit, on the zcu102's engine whatever --board. Writes
    OUT/quantizers-SEED.json. A quarter of an hour on an idle core.

    importance: by what weights should patches be chosen? The class token's attention in codes of 4,
    6 and 8 bits, before rounding, rounded, and rounded with dither: how many of the patches that
    exact weights choose are missed. The network and the photographs of nox -s vit. Writes
    OUT/importance.json. A minute.

    step: what does a step of training cost? Time, and bytes that wait for the backward pass, of a
    network of DeiT-S's size in quantized and in float mode, beside timm's. Writes OUT/step.json. A
    minute or two.
    """

    study: Annotated[Study, tyro.conf.Positional]
    """Which study."""
    out: Path = Path("runs")
    """Folder of the result. Trained networks are kept in OUT/supernets, as those of nas.search."""
    board: BoardName = "sim"
    """Board whose cycles count."""
    subnets: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of subnets: 12 that are trained alone, 24 of each supernet, unless said otherwise."""
    targets: Annotated[tuple[float, ...], tyro.conf.arg(metavar="FPS [FPS ...]")] = (
        9100,
        16000,
        26000,
    )
    """Frame rates of splits and ranking, in frames per second."""
    ranked: int = 96
    """Number of subnets of each band that are ranked, 16 uniform ones among them."""
    seed: int = 0
    """Seed of everything random, training included."""
    seeds: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of seeds from SEED on: 3 of tricks, of warm and on the first split, 2 of supernet,
    unless said otherwise."""
    workers: int = 1
    """Processes that train a supernet, two at most, and score its subnets. The results are the
    same."""
    quick: Flag = False
    """Try the command: hardly any training. Accuracies mean nothing."""

    def __post_init__(self) -> None:
        for name, least, most in LIMITS:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise UserError(f"--{name} must be from {least} to {most}, not {value}")
