"""ViT, DeiT, DINOv2 and CLIP's vision tower of the transformers library, in the canonical form."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.importer import pixels
from nas.importer.network import (
    Affine,
    FloatBlock,
    FloatFront,
    FloatNetwork,
    LayerNorm,
    affine,
)
from nas.importer.options import ImportOptions
from nas.importer.resample import at_size
from nas.importer.transformers_folder import TransformersFolder
from nas.importer.transformers_names import (
    ACTIVATIONS,
    FAMILIES,
    NO_LABEL,
    NOT_READ,
    REASONS,
    TowerNames,
)
from rtl.errors import UserError


@dataclass
class Tower:
    """The tensors of a vision tower, which notes what was taken.

    Parameters
    ----------
    name : str
        Of the folder, for errors.
    tensors : dict of str to Tensor
        Without the tower's prefix.
    """

    name: str
    tensors: Mapping[str, Tensor]
    taken: set[str] = field(default_factory=set)

    def take(self, key: str) -> Tensor:
        """Return a tensor in float64; ``UserError`` if there is none."""
        if key not in self.tensors:
            raise UserError(f"{self.name}: no '{key}' in its weights")
        self.taken.add(key)
        return self.tensors[key].double()

    def affine(self, key: str, *, bias: bool = True) -> Affine:
        """Return a layer; without a bias, that is 0."""
        return affine(self.take(f"{key}.weight"), self.take(f"{key}.bias") if bias else None)

    def norm(self, key: str, epsilon: float) -> LayerNorm:
        """Return a LayerNorm."""
        return LayerNorm(self.take(f"{key}.weight"), self.take(f"{key}.bias"), epsilon)

    def has(self, key: str) -> bool:
        """Whether there is a tensor."""
        return key in self.tensors


def load_transformers(path: Path, options: ImportOptions) -> FloatNetwork:
    """Import a folder of the transformers library.

    Raises
    ------
    UserError
        If its model is of another family, or has parts that the engine has not; if weights are
        missing, left over, or of other sizes; or if mean and std are not known.
    """
    folder = TransformersFolder(path, options.checkpoint)
    kind = str(folder.config.get("model_type"))
    names = _names(path.name, kind, folder.config)
    tensors = folder.tensors()
    prefix = _prefix(path.name, names, tensors)
    # Version 5 of the library leaves the prefix out in front of the blocks of some families.
    inside = {key for key in tensors if key.startswith((prefix, f"{names.blocks}."))}
    tower = Tower(path.name, {key.removeprefix(prefix): tensors[key] for key in inside})
    outside = {key: tensors[key] for key in tensors if not prefix or key not in inside}
    config = {**names.usual, **folder.config.get("vision_config", folder.config)}
    network = _network(tower, names, config, folder, options)
    network = _with_output(network, tower, outside, folder.config, options)
    _refuse_rest(tower, names, prefix)
    return _at_size(network, kind, folder, options)


def _names(name: str, kind: str, config: Mapping[str, Any]) -> TowerNames:
    """Return the family's names, or refuse the family."""
    if kind in REASONS:
        raise UserError(f"{name}: model type '{kind}' has what the engine has not: {REASONS[kind]}")
    if kind in NOT_READ:
        raise UserError(
            f"{name}: folders of model type '{kind}' are not read: export it to ONNX, or take"
            " timm's vit_*_siglip_*"
        )
    if kind not in FAMILIES:
        raise UserError(f"{name}: model type '{kind}' is none of {', '.join(FAMILIES)}")
    if config.get("use_swiglu_ffn"):
        raise UserError(f"{name}: has what the engine has not: a gated MLP (SwiGLU)")
    return FAMILIES[kind]


def _prefix(name: str, names: TowerNames, tensors: Mapping[str, Tensor]) -> str:
    """Return what is in front of the names of the tower's tensors."""
    found = [key for key in tensors if key.endswith(names.class_token)]
    if len(found) != 1:
        first = ", ".join(list(tensors)[:3]) or "no tensor"
        raise UserError(f"{name}: no '{names.class_token}' in its weights, but {first}, ...")
    return found[0].removesuffix(names.class_token)


def _network(
    tower: Tower,
    names: TowerNames,
    config: Mapping[str, Any],
    folder: TransformersFolder,
    options: ImportOptions,
) -> FloatNetwork:
    """Return the tower, without a classifier."""
    epsilon = _number(tower.name, config, "layer_norm_eps")
    kernel = tower.take(f"{names.embed}.weight")
    width, channels, patch, across = kernel.shape
    if patch != across:
        raise UserError(f"{tower.name}: has what the engine has not: patches of {patch} x {across}")
    heads = _whole(tower.name, config, "num_attention_heads")
    bias = tower.take(f"{names.embed}.bias") if tower.has(f"{names.embed}.bias") else None
    position, registers = _position(tower, names, width)
    patches = len(position) - registers - 1
    side = isqrt(patches) * patch
    if isqrt(patches) ** 2 != patches or config.get("image_size", side) not in (side, [side, side]):
        raise UserError(
            f"{tower.name}: {patches} positions, which are not those of {config.get('image_size')}"
            f" pixels in patches of {patch}"
        )
    if width % heads:
        raise UserError(f"{tower.name}: {heads} heads do not divide the width, {width}")
    image = (side, side, channels)
    kind = str(folder.config.get("model_type"))
    mean, std = pixels.statistics(tower.name, options, pixels.known_to(folder.processor), channels)
    source = {
        "name": tower.name,
        "file": folder.files[0].name,
        "sha256": folder.sha256(),
        "architecture": next(iter(folder.config.get("architectures") or [kind])),
        "license": folder.license,
        "epsilon": epsilon,
    }
    return FloatNetwork(
        image=image,
        patch=patch,
        head_dim=width // heads,
        mean=mean,
        std=std,
        embed=affine(kernel.permute(0, 2, 3, 1).flatten(1), bias),
        position=position,
        blocks=_blocks(tower, names, config, heads),
        norm=tower.norm(names.norm, epsilon),
        head=None,
        pool=options.pool or "token",
        class_token=True,
        registers=registers,
        preprocessing=pixels.from_transformers(tower.name, folder.processor, kind, image),
        class_names=options.names(),
        source={key: value for key, value in source.items() if value},
        front=FloatFront(tower.norm(names.front, epsilon)) if names.front else None,
    )


def _number(name: str, config: Mapping[str, Any], key: str) -> float:
    """Return a positive number of config.json, or refuse what stands there."""
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UserError(f"{name}: config.json: {key} must be a positive number, not {value!r}")
    return value


def _whole(name: str, config: Mapping[str, Any], key: str) -> int:
    """Return a positive whole number of config.json; 12, the library's, where it is missing."""
    value = config.get(key, 12)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(
            f"{name}: config.json: {key} must be a positive whole number, not {value!r}"
        )
    return value


def _position(tower: Tower, names: TowerNames, width: int) -> tuple[Tensor, int]:
    """Return what the stream starts with: patches, registers, class token; and the registers."""
    position = tower.take(names.position).reshape(-1, width)
    tokens = [tower.take(names.class_token).reshape(1, width)]
    if tower.has("embeddings.distillation_token"):  # a token like others, but for its own head
        tokens.append(tower.take("embeddings.distillation_token").reshape(1, width))
    others = len(tokens)
    start = torch.cat(tokens) + position[:others]
    patches, rest = position[others:], start[1:]
    if tower.has("embeddings.register_tokens"):  # these have no position
        rest = torch.cat([rest, tower.take("embeddings.register_tokens").reshape(-1, width)])
    return torch.cat([patches, rest, start[:1]]), len(rest)


def _blocks(
    tower: Tower, names: TowerNames, config: Mapping[str, Any], heads: int
) -> tuple[FloatBlock, ...]:
    """Return all blocks."""
    if (activation := ACTIVATIONS.get(config["hidden_act"])) is None:
        raise UserError(f"{tower.name}: activation {config['hidden_act']!r} is no kind of GELU")
    epsilon, biased = config["layer_norm_eps"], config.get("qkv_bias", True)
    blocks = []
    for index in range(_whole(tower.name, config, "num_hidden_layers")):
        at = {part: f"{names.blocks}.{index}.{key}" for part, key in names.block.items()}
        q, k, v = (tower.affine(at[part], bias=biased) for part in "qkv")
        proj, fc1, fc2 = (tower.affine(at[part]) for part in ("proj", "fc1", "fc2"))
        ones = torch.ones(len(proj.bias), dtype=torch.float64)
        scale1, scale2 = (tower.take(at[s]) if s in at else ones for s in ("scale1", "scale2"))
        norm1, norm2 = (tower.norm(at[part], epsilon) for part in ("norm1", "norm2"))
        blocks.append(
            FloatBlock(heads, norm1, q, k, v, proj, scale1, norm2, fc1, fc2, scale2, activation)
        )
    return tuple(blocks)


def _with_output(
    network: FloatNetwork,
    tower: Tower,
    outside: Mapping[str, Tensor],
    config: Mapping[str, Any],
    options: ImportOptions,
) -> FloatNetwork:
    """Put the classifier or the projection of features behind the final LayerNorm."""
    name, wanted = tower.name, options.classes
    notes = []
    if "visual_projection.weight" in outside:
        network = replace(network, features=affine(outside["visual_projection.weight"]))
        notes.append("features are those behind CLIP's projection")
    classifier = next((key for key in outside if key.endswith("classifier.weight")), None)
    if classifier and wanted != 0:
        head = affine(outside[classifier], outside[classifier.replace("weight", "bias")])
        _refuse_classifier(network, name, outside, head)
        if wanted not in (None, len(head.bias)):
            raise UserError(f"{name} has {len(head.bias):,} classes: drop --classes {wanted}")
        if options.pool not in (None, "token"):
            raise UserError(f"--pool {options.pool}: {name} has a classifier: give --classes 0")
        names = options.names() or _labels(config, len(head.bias))
        network = replace(network, head=head, class_names=names, pool="token")
    elif wanted:
        raise UserError(f"{name} has no classifier: drop --classes {wanted}, or give --classes 0")
    elif classifier:
        notes.append("left out the classifier")
    return replace(network, source=network.source | {"notes": notes})


def _refuse_classifier(
    network: FloatNetwork, name: str, outside: Mapping[str, Tensor], head: Affine
) -> None:
    """Refuse a classifier that does not read the class token behind the final LayerNorm."""
    reason = None
    if any(key.startswith("distillation_classifier.") for key in outside):
        reason = "two classifiers, one for the token of distillation"
    elif head.weight.shape[1] != network.width:
        reason = "a classifier of the class token and the mean of the patches together"
    elif network.front is not None:
        reason = "a classifier without a final LayerNorm in front of it"
    if reason:
        raise UserError(
            f"{name}: has what the engine has not: {reason}; --classes 0 gives features"
        )


def _labels(config: Mapping[str, Any], classes: int) -> tuple[str, ...]:
    """Return the names of classes, if the configuration has any."""
    labels = {str(key): str(value) for key, value in (config.get("id2label") or {}).items()}
    names = tuple(labels.get(str(number), NO_LABEL) for number in range(classes))
    return () if any(name.startswith(NO_LABEL) for name in names) else names


def _refuse_rest(tower: Tower, names: TowerNames, prefix: str) -> None:
    """Refuse tensors of the tower that were not used."""
    alone = ("classifier.", "cls_classifier.", "distillation_classifier.", "decoder.")
    known = (*names.ignored, *(() if prefix else alone))
    rest = [key for key in tower.tensors if key not in tower.taken and not key.startswith(known)]
    if rest:
        more = f" (and {len(rest) - 1} more)" if len(rest) > 1 else ""
        raise UserError(f"{tower.name}: has '{rest[0]}'{more}, which the model has not")


def _at_size(
    network: FloatNetwork, kind: str, folder: TransformersFolder, options: ImportOptions
) -> FloatNetwork:
    """Resample positions: on request, and for DINOv2 to what its images are cropped to."""
    size, own = options.image_size, network.image[0]
    if size is None and kind.startswith("dinov2"):
        size = pixels.crop_of(folder.processor, kind)
    if size in (None, own):
        size = own
    else:
        # As the library does it, but for ViT, which it does not resample by itself.
        network = at_size(network, size, antialias=kind != "dinov2")
    image = (size, size, network.image[2])
    steps = pixels.from_transformers(str(network.source["name"]), folder.processor, kind, image)
    return replace(network, preprocessing=steps)
