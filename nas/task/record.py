"""A task as a TOML file: what ``--task`` reads, and what a run writes down."""

from pathlib import Path
from typing import Annotated, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from nas.task.sizes import SpaceSizes, parsed, read_toml
from nas.training.augment import Augmentation
from nas.training.pictures import PictureAugmentation
from rtl.files import atomic_write

Share = Annotated[float, Field(ge=0, le=1)]
DropRate = Annotated[float, Field(ge=0, lt=1)]
Length = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _TaskPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataRecord(_TaskPart):
    """Images: their folder, and what becomes of them.

    Parameters
    ----------
    folder : str
    image_size, patch : int
        In pixels.
    mode : str
        ``L`` or ``RGB``.
    """

    folder: str
    image_size: PositiveInt
    patch: PositiveInt
    mode: Literal["L", "RGB"]


class AugmentationRecord(_TaskPart):
    """Distortions, as of :class:`nas.training.augment.Augmentation`."""

    rotation: Length = 8.0
    scale: Length = 0.15
    shear: Length = 0.05
    shift: Length = 0.0
    elastic: Length = 0.0
    mirror: bool = True
    padding: Literal["zeros", "border"] = "border"
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    policy: str = ""
    colour: Length = 0.0
    erasing: Share = 0.0

    @field_validator("policy")
    @classmethod
    def _known(cls, policy: str) -> str:
        try:
            PictureAugmentation(Augmentation(policy=policy), (8, 8, 3), (0, 0, 0), 1.0)
        except ValueError as error:
            raise PydanticCustomError("policy", "{error}", {"error": str(error)}) from None
        return policy


class NetworkRecord(_TaskPart):
    """Trained network, as :class:`nas.warm.source.NetworkSource`, without the hash."""

    name: str
    checkpoint: str | None = None
    mean: tuple[Share, ...] | None = None
    std: tuple[PositiveFloat, ...] | None = None


class RecipeRecord(_TaskPart):
    """Training, as of :class:`nas.training.recipe.TrainConfig`."""

    start: NetworkRecord | None = None
    batch: PositiveInt = 64
    float_epochs: NonNegativeInt
    quantized_epochs: PositiveInt
    learning_rate: PositiveFloat = 2e-3
    quantized_learning_rate: PositiveFloat = 2e-3
    weight_decay: Share = 0.02
    label_smoothing: Share = 0.1
    mixup: Length = 0.0
    cutmix: Length = 0.0
    drop_path: DropRate = 0.0
    clip_grad: Length = 0.0
    teacher: NetworkRecord | None = None
    teacher_share: Share = 1.0
    augmentation: AugmentationRecord = AugmentationRecord()

    @field_validator("float_epochs")
    @classmethod
    def _needed(cls, epochs: int, info: ValidationInfo) -> int:
        if not epochs and not info.data.get("start"):
            raise PydanticCustomError("no_start", "should be positive without a 'start'")
        return epochs


class TaskRecord(_TaskPart):
    """A task: data, space and recipe."""

    data: DataRecord
    space: SpaceSizes
    recipe: RecipeRecord

    @classmethod
    def load(cls, path: Path) -> "TaskRecord":
        """Read a file.

        Raises
        ------
        UserError
            If it is no TOML file, or a field is missing or wrong: names it.
        """
        return parsed(cls, read_toml(path), str(path))

    def save(self, path: Path) -> None:
        """Write a file that :meth:`load` reads."""
        with atomic_write(path, "w") as file:
            file.write(tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)))
