"""From a quantized network to the integer model."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.importer.forward import gelu
from nas.importer.network import Affine, FloatBlock, FloatFront, FloatNetwork, LayerNorm
from nas.numerics.codes import round_half_up
from nas.quantize.codes import BlockCodes, Code
from nas.quantize.network import QuantizedNetwork, moved
from nas.quantize.rebuild import KEY, described
from nas.quantize.rounding import Rows
from rtl.model import (
    Block,
    Classifier,
    Features,
    Front,
    HeadScales,
    HostNetwork,
    IntegerModel,
    Linear,
    Norm,
    Pool,
    numerics,
)
from rtl.model.dyadic import dyadic

NORM_GAIN_BITS = 16
CONTEXT_BITS = 16
OCTAVE = numerics.EXP2_ENTRIES / np.log(2)
"""Steps of the softmax's table per natural exponent."""


def export(
    quantized: QuantizedNetwork,
    *,
    granularity: int,
    producer: str,
    host_file: str = "",
    info: Mapping[str, Any] | None = None,
) -> IntegerModel:
    """Make the integer model.

    Parameters
    ----------
    quantized : QuantizedNetwork
    granularity : int
        Rows of a row tile.
    producer : str
        Name and version of the program.
    host_file : str
        Name of the file that the network behind the features is written to, if there is one.
    info : mapping, optional
        JSON values; the codes join them, for :func:`nas.quantize.rebuild.rebuilt`.

    Raises
    ------
    UserError
        If the result breaks a bound of docs/numerics.md.
    """
    info = {**(info or {}), KEY: described(quantized)}
    return _ModelMaker(quantized).model(granularity, producer, host_file, info)


class _ModelMaker:
    def __init__(self, quantized: QuantizedNetwork) -> None:
        here = moved(quantized, "cpu")
        self.network, self.codes, self.rows = here.network, here.codes, here.rows

    def model(
        self, granularity: int, producer: str, host_file: str, info: dict[str, Any]
    ) -> IntegerModel:
        network, start = self.network, self.codes.start
        ones = torch.ones(network.embed.weight.shape[1])
        pixel = Code(ones, 0 * ones, 0, 255)
        return IntegerModel(
            act_bits=self.codes.act_bits,
            row_granularity=granularity,
            image=network.image,
            patch=network.patch,
            width=network.width,
            head_dim=network.head_dim,
            embed=linear(network.embed, self.rows["embed"], pixel, start),
            position=_array(start.codes(network.position), np.int16),
            blocks=tuple(map(self.block, range(len(network.blocks)))),
            output=self.classifier() if network.head else self.features(host_file),
            class_names=_class_names(network),
            preprocessing=network.preprocessing,
            producer=producer,
            info=info,
            class_token=network.class_token,
            registers=network.registers,
            front=network.front and self.front(network.front),
        )

    def front(self, front: FloatFront) -> Front:
        codes = self.codes
        assert front.layer and codes.front and codes.front_norm
        norm = self.norm(front.norm, codes.front_norm, codes.front)
        return Front(
            norm, linear(front.layer, self.rows["front"], codes.front_norm, codes.residual)
        )

    def block(self, index: int) -> Block:
        block, codes = self.network.blocks[index], self.codes.blocks[index]
        residual, written = self.codes.residual, self.codes.written(index)
        tables = gelu_tables(block, codes)
        zeros = [int(codes.hidden.zero[first]) for first in _first_units(codes)]

        def layer(name: str, source: Code, result: Code) -> Linear:
            return linear(getattr(block, name), self.rows[f"blocks.{index}.{name}"], source, result)

        return Block(
            heads=block.heads,
            hidden=block.hidden,
            norm1=self.norm(block.norm1, codes.norm1, residual),
            q=layer("q", codes.norm1, codes.q),
            k=layer("k", codes.norm1, codes.k),
            v=layer("v", codes.norm1, codes.v),
            softmax=self.softmax(codes),
            context=self.context(codes),
            proj=layer("proj", codes.context, written),
            norm2=self.norm(block.norm2, codes.norm2, written),
            fc1=layer("fc1", codes.norm2, codes.fc1),
            gelu=tables if len(zeros) == 2 else tables[0],
            hidden_signed=codes.hidden.low < 0,
            hidden_zero=zeros[0],
            fc2=layer("fc2", codes.hidden, written),
            first_units=codes.first_table_units,
            second_zero=zeros[1] if len(zeros) == 2 else 0,
            keep=block.keep,
        )

    def softmax(self, codes: BlockCodes) -> HeadScales:
        dim = self.network.head_dim
        scale = (codes.q.scale * codes.k.scale)[::dim].double() * (OCTAVE / dim**0.5)
        return _head_scales(scale, numerics.MULTIPLIER_BITS, (0, numerics.SHIFT_MAX))

    def context(self, codes: BlockCodes) -> HeadScales:
        scale = (codes.v.scale / codes.context.scale)[:: self.network.head_dim].double()
        return _head_scales(scale, CONTEXT_BITS, (0, 28))

    def norm(self, norm: LayerNorm, code: Code, stream: Code) -> Norm:
        """Constants of a LayerNorm of ``stream`` without weight and bias; its codes are signed.

        The channels' scales are 1, 2, 4 or 8 times the least one.
        """
        width = self.network.width
        least = code.scale.double().amin()
        gain, shift = dyadic(float(1 / least), NORM_GAIN_BITS, 1, 16)
        epsilon = norm.epsilon * (width / float(stream.scale[0])) ** 2
        return Norm(
            epsilon=min(max(round(epsilon), 1), (1 << 32) - 1),
            gain=gain,
            shift=shift - 1,
            zero=0,
            signed=True,
            exponent=_array(round_half_up((code.scale / least).log2()), np.uint8),
        )

    def classifier(self) -> Classifier:
        network, codes = self.network, self.codes
        assert network.head and network.norm and codes.norm and codes.logits
        source = codes.pool or codes.norm
        return Classifier(
            classes=len(network.head.bias),
            norm=self.norm(network.norm, codes.norm, codes.residual),
            head=linear(network.head, self.rows["head"], source, codes.logits),
            output_scale=float(codes.logits.scale[0]),
            pool=codes.pool and self.pool(codes.norm, codes.pool),
        )

    def pool(self, norm: Code, pool: Code) -> Pool:
        """Scale of each channel's mean; the codes of the LayerNorm are signed."""
        factors = (norm.scale / pool.scale).double() / self.network.patches
        multiplier, shift = _dyadics(factors)
        return Pool(np.zeros(len(factors), np.int32), multiplier, shift)

    def features(self, host_file: str) -> Features:
        network = self.network
        behind = network.features or Affine(torch.eye(network.width), torch.zeros(network.width))
        host = None
        if network.host is not None and host_file:
            host = HostNetwork(host_file, hashlib.sha256(network.host).hexdigest())
        return Features(
            matrix=_array(behind.weight, np.float32),
            bias=_array(behind.bias, np.float32),
            epsilon=network.norm and np.float32(network.norm.epsilon),
            scale=np.float32(self.codes.end.scale[0]),
            pool=network.pool,
            host=host,
        )


def linear(layer: Affine, rows: Rows, source: Code, result: Code) -> Linear:
    """Make a layer: rounded rows, and the bias in units of each row's accumulator.

    The zero points of the input codes go into the bias, and so does the one of the result.
    """
    codes, step = rows.codes.double(), rows.step.double()
    scale = result.scale.double()
    bias = (layer.bias.double() + result.zero.double() * scale) / step
    bias = round_half_up(bias) - codes @ source.zero[: codes.shape[1]].double()
    multiplier, shift = _dyadics(step / scale)
    limit = np.iinfo(np.int32).max
    return Linear(
        weight=_array(codes, np.int8),
        bits=_array(rows.bits, np.uint8),
        bias=_array(bias.clamp(-limit, limit), np.int32),
        multiplier=multiplier,
        shift=shift,
    )


def gelu_tables(block: FloatBlock, codes: BlockCodes) -> np.ndarray:
    """Hidden codes of the 256 input codes, for each group of units: (1 or 2, 256) int16."""
    tables = []
    for unit in _first_units(codes):
        inputs = torch.arange(codes.fc1.low, codes.fc1.high + 1).double()
        real = (inputs - codes.fc1.zero[unit].double()) * codes.fc1.scale[unit].double()
        scale, zero = codes.hidden.scale[unit].double(), codes.hidden.zero[unit].double()
        hidden = round_half_up(gelu(block.activation, real) / scale + zero)
        tables.append(hidden.clamp(codes.hidden.low, codes.hidden.high))
    return _array(torch.stack(tables), np.int16)


def _class_names(network: FloatNetwork) -> tuple[str, ...]:
    """Names of the classes; their numbers where the source does not name them."""
    if network.head is None or network.class_names:
        return network.class_names
    return tuple(map(str, range(len(network.head.bias))))


def _first_units(codes: BlockCodes) -> tuple[int, ...]:
    """A unit of each group that has a table of its own."""
    return (0,) if codes.first_table_units is None else (0, codes.first_table_units)


def _head_scales(scale: Tensor, bits: int, shifts: tuple[int, int]) -> HeadScales:
    pairs = [dyadic(value, bits, *shifts) for value in scale.tolist()]
    return HeadScales(tuple(m for m, _ in pairs), tuple(s for _, s in pairs))


def _dyadics(factors: Tensor) -> tuple[np.ndarray, np.ndarray]:
    pairs = [dyadic(value) for value in factors.tolist()]
    return np.array([m for m, _ in pairs], np.uint32), np.array([s for _, s in pairs], np.uint8)


def _array(tensor: Tensor, dtype: type) -> np.ndarray:
    return tensor.detach().cpu().double().numpy().astype(dtype)
