"""A quantized network in floating point, out of the integer model that was made of it.

Integers alone do not say what real values they stand for: a tensor's scale may be doubled and the
next matrix halved. So an integer model carries the codes of its tensors in ``info``, some 10 KB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.importer.network import Affine, FloatBlock, FloatFront, FloatNetwork, LayerNorm
from nas.quantize.codes import BlockCodes, Code, NetworkCodes
from nas.quantize.network import QuantizedNetwork
from nas.quantize.rounding import Rows
from rtl.errors import UserError
from rtl.model import Features, Front, IntegerModel, Linear, Norm

KEY = "codes"
"""Name in a model's ``info``."""
ROTATION = "rotation"
"""Name in a network's ``source``: the seed of the residual stream's rotation, or None."""
ENDS = ("front", "front_norm", "norm", "pool", "logits", "pooled")


def described(quantized: QuantizedNetwork) -> dict[str, Any]:
    """Return the codes and what else :func:`rebuilt` needs, as JSON values."""
    network, codes = quantized.network, quantized.codes
    ends = {name: code for name in ENDS if (code := getattr(codes, name))}
    return {
        "rotation": network.source.get(ROTATION),
        "activations": [block.activation for block in network.blocks],
        "residual": _written(codes.residual),
        "blocks": [
            {name: _written(code) for name, code in block.tensors().items()}
            for block in codes.blocks
        ],
        **{name: _written(code) for name, code in ends.items()},
    }


def rotation_of(model: IntegerModel) -> int | None:
    """Return the seed of the residual stream's rotation; None where it is not rotated."""
    return _stored(model)["rotation"]


def rebuilt(model: IntegerModel) -> QuantizedNetwork:
    """Rebuild the network that a model was exported from, in float32.

    Weights are equal but for the 17 bits of their rows' multipliers.

    Raises
    ------
    UserError
        If the model was not made by this package's quantization.
    """
    return _Rebuilder(model).network()


@dataclass(frozen=True)
class _Rebuilder:
    model: IntegerModel

    def network(self) -> QuantizedNetwork:
        model, codes = self.model, self._codes()
        channels = model.image[2]
        pixel = torch.ones(model.embed.depth, dtype=torch.float64)
        embed, rows = _layer(model.embed, Code(pixel, 0 * pixel, 0, 255), codes.start)
        parts = {"embed": rows}
        front = None
        if model.front is not None:
            front, parts["front"] = self._front(model.front, codes)
        blocks = []
        for index in range(len(model.blocks)):
            block, found = self._block(index, codes)
            blocks.append(block)
            parts |= found
        output, head, features = model.output, None, None
        if isinstance(output, Features):
            norm, pool = None, output.pool
            if output.epsilon is not None:
                norm = self._norm(float(output.epsilon))
            features = Affine(torch.tensor(output.matrix), torch.tensor(output.bias))
        else:
            assert codes.norm and codes.logits
            norm, pool = (
                self._norm(_epsilon(output.norm, codes.residual)),
                "mean" if output.pool else "token",
            )
            head, parts["head"] = _layer(output.head, codes.pool or codes.norm, codes.logits)
        position = torch.from_numpy(model.position.astype(np.float32)) * codes.start.scale
        network = FloatNetwork(
            image=model.image,
            patch=model.patch,
            head_dim=model.head_dim,
            mean=torch.zeros(channels),
            std=torch.full((channels,), 1 / 255),
            embed=embed,
            position=position,
            blocks=tuple(blocks),
            norm=norm,
            head=head,
            pool=pool,
            class_token=model.class_token,
            registers=model.registers,
            preprocessing=model.preprocessing,
            class_names=model.class_names,
            features=features,
            front=front,
        )
        return QuantizedNetwork(network, codes, parts)

    def _codes(self) -> NetworkCodes:
        stored = _stored(self.model)
        blocks = (
            BlockCodes(
                **{name: _read(code) for name, code in codes.items()},
                first_table_units=block.first_units,
            )
            for codes, block in zip(stored["blocks"], self.model.blocks, strict=True)
        )
        ends = {name: _read(stored[name]) for name in ENDS if name in stored}
        return NetworkCodes(self.model.act_bits, _read(stored["residual"]), tuple(blocks), **ends)

    def _front(self, front: Front, codes: NetworkCodes) -> tuple[FloatFront, Rows]:
        assert codes.front and codes.front_norm
        layer, rows = _layer(front.layer, codes.front_norm, codes.residual)
        return FloatFront(self._norm(_epsilon(front.norm, codes.front)), layer), rows

    def _block(self, index: int, codes: NetworkCodes) -> tuple[FloatBlock, dict[str, Rows]]:
        block, own = self.model.blocks[index], codes.blocks[index]
        residual, written = codes.residual, codes.written(index)
        between = {
            "q": (own.norm1, own.q),
            "k": (own.norm1, own.k),
            "v": (own.norm1, own.v),
            "proj": (own.context, written),
            "fc1": (own.norm2, own.fc1),
            "fc2": (own.hidden, written),
        }
        made = {name: _layer(getattr(block, name), *ends) for name, ends in between.items()}
        ones = torch.ones(self.model.width)
        layers = {name: layer for name, (layer, _) in made.items()}
        rebuilt_block = FloatBlock(
            heads=block.heads,
            norm1=self._norm(_epsilon(block.norm1, residual)),
            norm2=self._norm(_epsilon(block.norm2, written)),
            scale1=ones,
            scale2=ones,
            activation=_stored(self.model)["activations"][index],
            keep=block.keep,
            **layers,
        )
        return rebuilt_block, {f"blocks.{index}.{name}": rows for name, (_, rows) in made.items()}

    def _norm(self, epsilon: float) -> LayerNorm:
        """Return a LayerNorm without weight and bias."""
        return LayerNorm(torch.ones(self.model.width), torch.zeros(self.model.width), epsilon)


def _epsilon(norm: Norm, stream: Code) -> float:
    """Return what an integer LayerNorm of ``stream`` adds to the variance, in real values."""
    return norm.epsilon * (float(stream.scale[0]) / len(stream.scale)) ** 2


def _layer(linear: Linear, source: Code, result: Code) -> tuple[Affine, Rows]:
    """Return a layer in real values; the zero points of both codes leave its bias."""
    factor = linear.multiplier / np.exp2(linear.shift.astype(np.float64))
    step = torch.from_numpy(factor) * result.scale.double()
    codes = torch.from_numpy(linear.weight.astype(np.float64))
    zero, scale = (part[: linear.depth].double() for part in (source.zero, source.scale))
    bias = torch.from_numpy(linear.bias.astype(np.float64)) + codes @ zero
    bias = bias * step - result.zero.double() * result.scale.double()
    weight = codes * step[:, None] / scale
    rows = Rows(codes.float(), torch.from_numpy(linear.bits.astype(np.int64)), step.float())
    return Affine(weight.float(), bias.float()), rows


def _stored(model: IntegerModel) -> Mapping[str, Any]:
    stored = model.info.get(KEY)
    if stored is None:
        raise UserError(
            "the model does not say what its codes stand for: quantize it again with"
            " python -m nas.quantize"
        )
    return stored


def _written(code: Code) -> dict[str, Any]:
    """Return a code as JSON; channels in a row that share scale and zero point are one entry."""
    pairs = torch.stack([code.scale.double(), code.zero.double()], 1).cpu()
    unique, counts = torch.unique_consecutive(pairs, dim=0, return_counts=True)
    groups = zip(counts.tolist(), unique.tolist(), strict=True)
    return {
        "low": code.low,
        "high": code.high,
        "groups": [[count, scale, int(zero)] for count, (scale, zero) in groups],
    }


def _read(stored: Mapping[str, Any]) -> Code:
    def repeated(column: int) -> Tensor:
        parts = [torch.full((group[0],), float(group[column])) for group in stored["groups"]]
        return torch.cat(parts)

    return Code(repeated(1), repeated(2), stored["low"], stored["high"])
