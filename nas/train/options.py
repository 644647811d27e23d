"""Options of ``python -m nas.train``."""

from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from nas.task.options import TaskOptions
from rtl.cli import BoardName, EngineName, Flag
from rtl.errors import UserError

Epochs = Annotated[
    int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: by the images)")
]
Count = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: 64)")]
Rate = Annotated[float | None, tyro.conf.arg(metavar="RATE", help_behavior_hint="(default: 0.002)")]
Number = Annotated[float | None, tyro.conf.arg(metavar="X", help_behavior_hint="(default: 0)")]
RECIPE = (
    "float_epochs",
    "quantized_epochs",
    "batch",
    "learning_rate",
    "quantized_learning_rate",
    "mixup",
    "cutmix",
    "drop_path",
    "clip_grad",
)
"""Options that are fields of the recipe, by the same names."""


@dataclass(frozen=True)
class TrainOptions(TaskOptions):
    """Train a supernet, or go on with it where it was.

    This is the first stage of nas.search alone, for what takes long: on a GPU, or on several. At
    the end it says where the supernet lies, and which search finds it there. For example:

    python -m nas.train --data FOLDER --space small --board zcu102 --device cuda

    OUT/NAME/task.toml then holds all that was settled, options of this command included; --task
    takes such a file, whose recipe has further fields, those of the augmentation among them. A
    search needs the same --board, --engine, --seed and --threads.

    Several processes share each batch and give the gradients of one; on a machine with eight GPUs:

    torchrun --nproc-per-node 8 -m nas.train --task FILE.toml --device cuda

    Training that was interrupted, or killed, goes on from its last checkpoint with the same
    command, on the same device or another one. tensorboard --logdir OUT/supernets shows how it
    goes.
    """

    board: BoardName = "sim"
    """Board that the search is for: its engine decides about row tiles and bits."""
    engine: EngineName = None
    float_epochs: Epochs = None
    """Epochs of the first stage, which trains the largest subnet on real values."""
    quantized_epochs: Epochs = None
    """Epochs of the second stage, which trains all subnets on codes."""
    batch: Count = None
    """Images of a step, of all processes together."""
    learning_rate: Rate = None
    """Highest learning rate of the first stage."""
    quantized_learning_rate: Rate = None
    """Highest learning rate of the second stage."""
    mixup: Number = None
    """Mixup: parameter of its beta distribution, such as 0.8; 0 mixes nothing."""
    cutmix: Number = None
    """Cutmix: parameter of its beta distribution, such as 1.0; 0 cuts nothing."""
    drop_path: Number = None
    """Rate at which the largest subnet's last block is left out; of those before in proportion."""
    clip_grad: Number = None
    """Largest norm of the gradients of a step; 0 does not limit it."""
    compile: Flag = False
    """Compile the elementwise parts of a step, on a CPU to equal bytes: some percent less time with
    networks of DeiT's size. Takes a C++ compiler, on a GPU Triton."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.of_digits and self.recipe:
            option = next(iter(self.recipe)).replace("_", "-")
            raise UserError(f"--{option} needs --data or --task: the digits have their own recipe")

    @property
    def recipe(self) -> dict[str, Any]:
        """Fields of the recipe that were given."""
        values = {name: getattr(self, name) for name in RECIPE}
        return {name: value for name, value in values.items() if value is not None}
