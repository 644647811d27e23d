"""Options about a network from elsewhere: the same for every command that takes one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rtl.cli import OptionalPath
from rtl.errors import UserError

IMAGE_SIZE_MAX = 4096
CLASSES_MAX = 65_536
POOLS = ("token", "mean", "all")

OptionalInt = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]
Channels = Annotated[
    tuple[float, ...] | None, tyro.conf.arg(metavar="X [X X]", help_behavior_hint="")
]


@dataclass(frozen=True)
class NetworkOptions:
    """Variants of a network, and its weights."""

    checkpoint: OptionalPath = None
    """Trained weights of a timm model: .safetensors, or .pth with weights alone."""

    classes: OptionalInt = None
    """Classes of a timm model, instead of its own number; 0 for features without a classifier."""

    image_size: OptionalInt = None
    """Pixels of height and width. Positions of another grid are resampled."""

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("--image-size", self.image_size, 1, IMAGE_SIZE_MAX),
            ("--classes", self.classes, 0, CLASSES_MAX),
        ):
            if value is not None and not least <= value <= most:
                raise UserError(f"{name} must be from {least} to {most}, not {value}")

    def refuse_for(self, file: str, *names: str) -> None:
        """Raise ``UserError`` if one of these is given for a file that has its own."""
        for name in names:
            if getattr(self, name) is not None:
                flag = f"--{name.replace('_', '-')}"
                raise UserError(f"{flag} is for timm's models: {file} has its own")


@dataclass(frozen=True)
class ImportOptions(NetworkOptions):
    """Variants of a network, its weights, and what their file does not say."""

    pool: Annotated[str | None, tyro.conf.arg(metavar="token|mean|all", help_behavior_hint="")] = (
        None
    )
    """Features of a network without classifier: the class token's, the mean of the patches', or
    those of all tokens."""

    mean: Channels = None
    """Mean of each channel in training, of pixels from 0 to 1, where no configuration says it."""

    std: Channels = None
    """Standard deviation of each channel, likewise."""

    class_names: OptionalPath = None
    """Text file with a class in each line."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool not in (None, *POOLS):
            raise UserError(f"--pool must be one of {', '.join(POOLS)}, not '{self.pool}'")
        if (self.mean is None) != (self.std is None):
            raise UserError("--mean and --std belong together: give both")
        for name, values in (("--mean", self.mean), ("--std", self.std)):
            if values is not None and len(values) not in (1, 3):
                raise UserError(f"{name} takes a number per channel, 1 or 3, not {len(values)}")
        for value in (*(self.mean or ()), *(self.std or ())):
            if value > 1:
                raise UserError(
                    f"--mean and --std are those of pixels from 0 to 1, not {value:g}: divide by"
                    " 255"
                )
        for value in self.std or ():
            if not 0 < value < float("inf"):
                raise UserError(f"--std must be positive, not {value:g}")

    def names(self) -> tuple[str, ...]:
        """Read the class names; none without a file."""
        if self.class_names is None:
            return ()
        path = Path(self.class_names)
        try:
            return tuple(path.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UserError(f"{path}: class names cannot be read: {reason}") from None
