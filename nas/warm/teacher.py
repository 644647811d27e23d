"""A trained network whose answers training learns from, on the same distorted images.

Any network of timm's, convolutional ones too, by its name and weights or in a folder as timm saves
it; or one that the importer reads. It sees images of its own size, mean and standard deviation.
"""

import pickle
import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.config import resolve_data_config
from timm.models import load_state_dict
from torch import Tensor
from torch.nn import functional

from nas.importer.forward import forward, logits
from nas.importer.network import FloatNetwork, converted
from nas.importer.timm_source import CONFIG, FILES
from nas.importer.transformers_folder import is_of_transformers
from nas.warm.classes import class_rows
from nas.warm.fit import COLOURS, GREY, read_network
from nas.warm.source import NetworkSource, content_hash, hash_of
from rtl.errors import UserError

UNREADABLE = EOFError, pickle.PickleError, struct.error  # of torch.load, on other files
LUMA = 0.299, 0.587, 0.114  # of a grey pixel, as Pillow weighs red, green and blue


class Teacher:
    """Trained network that classifies a task's images.

    Parameters
    ----------
    compute : callable
        (batch, height, width, channels) pixels, float32 from 0 to 255, to (batch, classes) logits.
    image : tuple of int
        (height, width, channels) that it takes.
    sha256 : str
        Hash of its content.
    rows : sequence of int
        Rows of its classifier that are the task's classes, in their order.
    """

    def __init__(
        self,
        compute: Callable[[Tensor], Tensor],
        image: tuple[int, int, int],
        sha256: str,
        rows: Sequence[int],
    ) -> None:
        self.compute, self.image, self.sha256, self.rows = compute, image, sha256, list(rows)

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Classify the task's (batch, height, width, channels) images: (batch, classes)."""
        return self.compute(resized(images, self.image))[:, self.rows].softmax(1)


def load_teacher(
    source: NetworkSource, class_names: Sequence[str], device: torch.device | str = "cpu"
) -> Teacher:
    """Read a network that has the classes of a task.

    Raises
    ------
    UserError
        If it cannot be read, has other classes, or is not the one that the recipe was made with.
    """
    if _is_timms(source):
        teacher = _timm_teacher(source, class_names, device)
    else:
        teacher = _imported_teacher(source, class_names, device)
    if source.sha256 not in ("", teacher.sha256):
        raise UserError(f"{source.name} has changed since the command began: give it again")
    return teacher


def resized(images: Tensor, image: tuple[int, int, int]) -> Tensor:
    """Bring images to a size and to grey or colours.

    (batch, height, width, channels) of any type to (batch, *image) float32.
    """
    height, width, channels = image
    pixels = images.float()
    if (channels, pixels.shape[-1]) == (COLOURS, GREY):
        pixels = pixels.expand(-1, -1, -1, COLOURS)
    elif (channels, pixels.shape[-1]) == (GREY, COLOURS):
        pixels = pixels @ pixels.new_tensor(LUMA).unsqueeze(1)
    if pixels.shape[1:3] == (height, width):
        return pixels
    planes = functional.interpolate(
        pixels.permute(0, 3, 1, 2), (height, width), mode="bicubic", antialias=True
    )
    return planes.clamp(0, 255).permute(0, 2, 3, 1)


def _is_timms(source: NetworkSource) -> bool:
    path = Path(source.name)
    return path.suffix != ".onnx" and not (path.is_dir() and is_of_transformers(path))


def _imported_teacher(
    source: NetworkSource, class_names: Sequence[str], device: torch.device | str
) -> Teacher:
    network = read_network(source)
    if network.head is None:
        raise UserError(f"{source.name} has no classifier: a teacher needs one")
    rows = _rows(source, network.class_names, len(network.head.bias), class_names)
    single = converted(network, torch.float32, device)
    compute = partial(_imported_logits, single)
    return Teacher(compute, network.image, content_hash(network), rows)


def _imported_logits(network: FloatNetwork, pixels: Tensor) -> Tensor:
    return logits(network, forward(network, pixels))


def _timm_teacher(
    source: NetworkSource, class_names: Sequence[str], device: torch.device | str
) -> Teacher:
    model, state = _filled(source)
    stated = resolve_data_config(model=model)
    channels, height, width = stated["input_size"]
    # Positions are of one size, which a folder's arguments may set.
    height, width = getattr(getattr(model, "patch_embed", None), "img_size", None) or (
        height,
        width,
    )
    mean, std = (
        torch.tensor(own or stated[name], dtype=torch.float32, device=device).expand(channels)
        for name, own in (("mean", source.mean), ("std", source.std))
    )
    config = model.pretrained_cfg
    known = tuple(config.get("label_names") or ())
    rows = _rows(source, known, model.num_classes, class_names)
    image = (height, width, channels)
    about = repr((config.get("architecture"), image, mean.tolist(), std.tolist(), known))
    model = model.to(device).eval().requires_grad_(False)
    compute = partial(_timm_logits, model, mean, std)
    return Teacher(compute, image, hash_of(about, sorted(state.items())), rows)


def _timm_logits(model: Any, mean: Tensor, std: Tensor, pixels: Tensor) -> Tensor:
    return model(((pixels / 255 - mean) / std).permute(0, 3, 1, 2))


def _filled(source: NetworkSource) -> tuple[Any, dict[str, Tensor]]:
    """Return a timm model with its weights, and these."""
    folder, file = Path(source.name), source.checkpoint
    more: dict[str, Any] = {}
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise UserError(f"{folder}: no {CONFIG} of timm's or of transformers' in it")
        name = f"local-dir:{folder}"
        file = file or next((folder / each for each in FILES if (folder / each).is_file()), None)
    else:
        name = source.name
        if not timm.is_model(name.partition(".")[0]):
            raise UserError(
                f"{name}: no file, no folder, and no name of timm's: timm.list_models() lists these"
            )
    if file is None:
        raise UserError(f"{source.name}: no weights for it: give a checkpoint")
    if not Path(file).is_file():
        raise UserError(f"{file}: no such file")
    try:
        state = load_state_dict(str(file))
        if not folder.is_dir() and (classes := _classes(name, state)) is not None:
            more["num_classes"] = classes
        with torch.random.fork_rng():
            model: Any = timm.create_model(name, pretrained=False, **more)
        model.load_state_dict(state)
    except (*UNREADABLE, RuntimeError, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: not weights of {source.name}: {reason}") from None
    return model, state


def _classes(name: str, state: dict[str, Tensor]) -> int | None:
    """Count the classes in the weights of a timm model; None where that is not said."""
    config = timm.get_pretrained_cfg(name)
    bias = state.get(f"{config.classifier}.bias") if config else None
    return None if bias is None else len(bias)


def _rows(
    source: NetworkSource, known: Sequence[str], count: int, class_names: Sequence[str]
) -> list[int]:
    rows = class_rows(known, count, class_names)
    if rows is None:
        other = (
            f"{count} classes, the task {len(class_names)}"
            if count != len(class_names)
            else f"other classes ({', '.join(sorted(set(known) - set(class_names))[:3])}, ...)"
        )
        raise UserError(f"{source.name} has {other}: a teacher must have the same")
    return rows
