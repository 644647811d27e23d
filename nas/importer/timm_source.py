"""A plain vision transformer of timm's, with weights from a file, in the canonical form."""

import hashlib
import json
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from timm.layers.layer_scale import LayerScale
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn

from nas.importer import pixels
from nas.importer.activations import GELU_GRID, kind_of
from nas.importer.names import full_name
from nas.importer.network import (
    Affine,
    FloatBlock,
    FloatFront,
    FloatNetwork,
    LayerNorm,
    affine,
)
from nas.importer.onnx_host import host_classifier
from nas.importer.options import ImportOptions
from nas.importer.timm_parts import build, has_front, refuse
from nas.importer.weights import CheckpointWeights, read_weights
from rtl.errors import UserError

CONFIG = "config.json"
FILES = ("model.safetensors", "pytorch_model.bin")  # beside it, in this order
ON_HOST = "the classifier behind attention pooling is the host's: no LayerNorm is in front of it"
POOLS = {"token": "token", "avg": "mean", "": "all", "map": "attention"}


def load_timm(name: str, options: ImportOptions) -> FloatNetwork:
    """Import a timm model by its name, or a folder as timm's ``save_for_hf`` writes it.

    Raises
    ------
    UserError
        If timm has none of that name, if it has parts that the engine has not, if the weights do
        not fit it, or if mean and std are not known.
    """
    folder, config, more = Path(name), {}, {}
    path = options.checkpoint
    if folder.is_dir():
        config = _config_of(folder)
        path = path or next((folder / file for file in FILES if (folder / file).is_file()), None)
        more = {key: config[key] for key in ("num_classes", "global_pool") if key in config}
        more |= config.get("model_args") or {}
    architecture = full_name(config.get("architecture") or name)
    if path is None:
        raise UserError(f"{name}: no weights: give --checkpoint FILE (.safetensors or .pth)")
    model = build(architecture, options.classes, options.image_size, **more)
    refuse(name, model)
    weights = read_weights(Path(path))
    notes = fill(model, weights, Path(path).name, options)
    stated, note = _stated(model, config)
    if note and options.mean is None:
        notes.append(note)
    source = {
        "name": folder.name if config else name,
        "file": Path(path).name,
        "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        "architecture": architecture,
        "license": weights.license or stated.get("license"),
        "notes": notes,
    }
    return canonical(model, stated, options, {key: value for key, value in source.items() if value})


def _config_of(folder: Path) -> dict[str, Any]:
    """Read the configuration that timm writes beside weights."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{folder}: no {CONFIG} of timm's in it: {reason}") from None
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise UserError(f"{folder / CONFIG}: names no 'architecture' of timm's")
    return config


def _stated(model: nn.Module, config: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return what is stated of weights, as in a ``pretrained_cfg``; and a note where timm says it.

    Mean and std are those in the folder's configuration. Weights of a name without a folder are
    taken for a variant of the weights that timm itself has of that name, if it has any.
    """
    timms = dict(getattr(model, "pretrained_cfg", None) or {})
    own = config.get("pretrained_cfg") or {}
    if config or not (timms.get("url") or timms.get("hf_hub_id")):
        unknown = {key: value for key, value in timms.items() if key not in ("mean", "std")}
        return {**unknown, **own}, None
    return timms, f"mean and std are those of timm's weights '{timms.get('tag')}'"


def fill(model: Any, weights: CheckpointWeights, file: str, options: ImportOptions) -> list[str]:
    """Put weights into a timm model; return notes on how.

    Raises
    ------
    UserError
        If weights are missing, left over, or of other sizes.
    """
    notes = list(weights.notes)
    state = dict(weights.tensors)
    if note := _positions(model, state, file, options):
        notes.append(note)
    state = checkpoint_filter_fn(state, model, adapt_layer_scale=True)
    if not model.num_classes and (dropped := [key for key in state if key.startswith("head.")]):
        notes.append(f"left out the classifier ({', '.join(dropped)})")
        state = {key: value for key, value in state.items() if key not in dropped}
    wanted = model.state_dict()
    head = state.get("head.weight")
    if head is not None and "head.weight" in wanted and len(head) != model.num_classes:
        raise UserError(
            f"{file} has {len(head):,} classes, the model {model.num_classes:,}: give"
            f" --classes {len(head)}"
        )
    if missing := [key for key in wanted if key not in state]:
        remedy = "; --classes 0 gives features" if missing[0].startswith("head.") else ""
        raise UserError(f"{file}: no '{missing[0]}' in it{_more(missing)}{remedy}")
    if extra := [key for key in state if key not in wanted]:
        raise UserError(
            f"{file}: has '{extra[0]}'{_more(extra)}, which the model has not: is it of another"
            " model?"
        )
    for key, tensor in wanted.items():
        if tensor.shape != state[key].shape:
            raise UserError(
                f"{file}: '{key}' has shape {tuple(state[key].shape)}, the model"
                f" {tuple(tensor.shape)}: is it of another model?"
            )
    model.load_state_dict(state)
    return notes


def _more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""


def _positions(
    model: Any, state: Mapping[str, Tensor], file: str, options: ImportOptions
) -> str | None:
    """Say that positions are resampled, if they are of another grid and that is asked for."""
    position = state.get("pos_embed")
    if position is None or position.ndim != 3:
        return None
    rows, columns = model.patch_embed.grid_size
    counts = [position.shape[1] - others for others in range(model.num_prefix_tokens + 1)]
    if rows * columns in counts:
        return None
    squares = [isqrt(count) for count in counts if count > 0 and isqrt(count) ** 2 == count]
    if not squares:
        raise UserError(_strange_grid(file, position.shape[1], model.num_prefix_tokens))
    old, patch = squares[0], model.patch_embed.patch_size[0]
    if options.image_size is None:
        raise UserError(
            f"{file} has positions of {old} x {old} patches, the model {rows} x {columns}: give"
            f" --image-size {old * patch} to take them as they are, or --image-size"
            f" {rows * patch} to resample them"
        )
    return f"positions resampled from {old} x {old} to {rows} x {columns} patches"


def _strange_grid(file: str, positions: int, others: int) -> str:
    """Say what a number of positions may be that are no square and the model's other tokens."""
    for more in range(others + 1, others + 9):
        side = isqrt(max(positions - more, 0))
        if side and side**2 == positions - more:
            return (
                f"{file} has {positions} positions: {side} x {side} patches, {more} other tokens,"
                f" of which the model has {others}: is it distilled, or with registers?"
            )
    return f"{file}: {positions} positions are those of no square grid"


def canonical(
    model: Any,
    config: Mapping[str, Any],
    options: ImportOptions,
    source: dict[str, Any],
) -> FloatNetwork:
    """Bring a timm model with weights into the canonical form.

    Parameters
    ----------
    model : timm.models.vision_transformer.VisionTransformer
        One that :func:`nas.importer.timm_parts.refuse` lets pass.
    config : mapping
        Its ``pretrained_cfg``, for the preprocessing.
    options : ImportOptions
    source : dict
        What there is to report.
    """
    name, conv = source.get("name", "model"), model.patch_embed.proj
    image = (*model.patch_embed.img_size, conv.in_channels)
    known = (tuple(config["mean"]), tuple(config["std"])) if config.get("mean") else None
    mean, std = pixels.statistics(name, options, known, image[2])
    head = _affine(model.head) if isinstance(model.head, nn.Linear) else None
    pool = POOLS[model.global_pool]
    if head is None:
        pool = options.pool or pool
    elif options.pool not in (None, pool):
        raise UserError(f"--pool {options.pool}: {name} has a classifier, on {pool}: --classes 0")
    if pool == "token" and not model.has_class_token:
        raise UserError(f"--pool token: {name} has no class token")
    names, host = options.names(), None
    if head is not None and pool == "attention":
        if len(names) not in (0, len(head.bias)):
            raise UserError(f"{name}: {len(names)} class names for {len(head.bias)} classes")
        notes = [*source.get("notes", ()), ON_HOST]
        head, host, source = None, host_classifier(head), {**source, "notes": notes}
    block, norm = model.blocks[0], _norm(model.norm)
    blocks = [_block(name, index, each) for index, each in enumerate(model.blocks)]
    if pool == "attention":
        blocks, norm = [*blocks, _pooling(name, model.attn_pool, norm)], None
    return FloatNetwork(
        image=image,
        patch=conv.kernel_size[0],
        head_dim=block.attn.head_dim,
        mean=mean,
        std=std,
        embed=affine(_pixels_last(conv.weight), _of(conv.bias)),
        position=_position(model),
        blocks=tuple(blocks),
        norm=norm,
        head=head,
        pool=pool,
        class_token=model.has_class_token,
        registers=model.num_reg_tokens,
        preprocessing=pixels.from_timm(name, config, image),
        class_names=names,
        host=host,
        source={**source, "epsilon": model.norm.eps},
        front=FloatFront(_norm(model.norm_pre)) if has_front(model) else None,
    )


def _pixels_last(weight: Tensor) -> Tensor:
    """(width, channels, patch, patch) -> (width, patch * patch * channels)."""
    return weight.detach().permute(0, 2, 3, 1).flatten(1)


def _position(model: Any) -> Tensor:
    """Return what the stream starts with, (tokens, width): patches, registers, class token."""
    width, patches = model.embed_dim, model.patch_embed.num_patches
    others = [each[0] for each in (model.cls_token, model.reg_token) if each is not None]
    start = torch.cat([*others, torch.zeros(patches, width)]).detach().double()
    first = len(start) - patches
    if model.pos_embed is not None:
        position = model.pos_embed[0].detach().double()
        start[len(start) - len(position) :] += position
    patch, rest = start[first:], start[:first]
    kept = int(model.has_class_token)
    return torch.cat([patch, rest[kept:], rest[:kept]])


def _block(name: str, index: int, block: Any) -> FloatBlock:
    """Return one block."""
    q, k, v = _split(block.attn.qkv, 3)
    return FloatBlock(
        heads=block.attn.num_heads,
        norm1=_norm(block.norm1),
        q=q,
        k=k,
        v=v,
        proj=_affine(block.attn.proj),
        scale1=_scale(block.ls1, block.attn.proj),
        norm2=_norm(block.norm2),
        fc1=_affine(block.mlp.fc1),
        fc2=_affine(block.mlp.fc2),
        scale2=_scale(block.ls2, block.mlp.fc2),
        activation=_activation(name, block.mlp.act),
    )


def _pooling(name: str, pool: Any, norm: LayerNorm) -> FloatBlock:
    """Return attention pooling behind the final LayerNorm, ``norm``, as a block."""
    query = _affine(pool.q) if isinstance(pool.q, nn.Linear) else None
    latent = pool.latent[0, 0].detach().double()
    bias = latent if query is None else query.weight @ latent + query.bias
    k, v = _split(pool.kv, 2)
    ones = torch.ones_like(norm.weight)
    return FloatBlock(
        heads=pool.num_heads,
        norm1=norm,
        q=Affine(bias.new_zeros(len(bias), 0), bias),
        k=k,
        v=v,
        proj=_affine(pool.proj),
        scale1=ones,
        norm2=_norm(pool.norm),
        fc1=_affine(pool.mlp.fc1),
        fc2=_affine(pool.mlp.fc2),
        scale2=ones,
        activation=_activation(name, pool.mlp.act),
    )


def _activation(name: str, act: nn.Module) -> str:
    """Return the kind of GELU that a module computes."""
    activation = kind_of(act(GELU_GRID))
    if activation is None:
        raise UserError(f"{name}: activation {type(act).__name__} is no kind of GELU")
    return activation


def _split(joint_layer: nn.Linear, parts: int) -> list[Affine]:
    """Cut the joint layer of Q, K and V, or of K and V."""
    joint = _affine(joint_layer)
    weights, biases = joint.weight.chunk(parts), joint.bias.chunk(parts)
    return [Affine(weight, bias) for weight, bias in zip(weights, biases, strict=True)]


def _affine(layer: nn.Linear) -> Affine:
    return affine(layer.weight.detach(), _of(layer.bias))


def _of(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()


def _norm(norm: nn.LayerNorm) -> LayerNorm:
    width = norm.normalized_shape[0]
    weight = torch.ones(width) if norm.weight is None else norm.weight.detach()
    bias = torch.zeros(width) if norm.bias is None else norm.bias.detach()
    return LayerNorm(weight.double(), bias.double(), norm.eps)


def _scale(scale: nn.Module, layer: nn.Linear) -> Tensor:
    if isinstance(scale, LayerScale):
        return scale.gamma.detach().double()
    return torch.ones(layer.out_features, dtype=torch.float64)
