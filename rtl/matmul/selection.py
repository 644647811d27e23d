"""Each word's operands, out of what the scratchpads answered."""

from amaranth.hdl import Cat, Const, Module, Mux, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Activations, Weights
from rtl.matmul.signals import Step, Word
from rtl.memory.ports import (
    activation_read,
    array,
    key_read,
    pixel_read,
    value_read,
    weight_read,
)
from rtl.model import numerics


class Nibbles(wiring.Component):
    """Nibbles of keys or of values, row by row.

    No register. A module of its own, so that synthesis makes this choice among four with a LUT of
    six inputs, and the one between it and the weight ring with another.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    keys, values : In
        Data of the read ports.
    of_values, high : In(1)
    o : Out(row_lanes x depth_lanes x unsigned(4))
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        weights = array(config.depth_lanes, unsigned(numerics.ATOM_BITS))
        super().__init__(
            {
                "keys": In(key_read(config).members["data"].shape),
                "values": In(value_read(config).members["data"].shape),
                "of_values": In(1),
                "high": In(1),
                "o": Out(array(config.row_lanes, weights)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows, depth = range(self.config.row_lanes), range(self.config.depth_lanes)
        keys = [self.keys[r][d] for r in rows for d in depth]
        values = [self.values[d][r] for r in rows for d in depth]
        m.d.comb += self.o.eq(
            Mux(self.of_values, _halves(values, self.high), _halves(keys, self.high))
        )
        return m


class Selection(wiring.Component):
    """Picks each word's operands from what the scratchpads answered: source, nibble, slice.

    Latency ``LATENCY``; free running.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    step : In(Step)
        Arrives with the data.
    codes, pixels, nibbles, keys, values : In
        Data of the read ports.
    activations : Out(token_lanes x depth_lanes x unsigned(act_bits))
    weights : Out(row_lanes x depth_lanes x unsigned(4))
    word : Out(Word)
    """

    LATENCY = 1

    def __init__(self, config: EngineConfig):
        self.config = config
        activations = array(config.depth_lanes, unsigned(config.act_bits))
        weights = array(config.depth_lanes, unsigned(numerics.ATOM_BITS))
        super().__init__(
            {
                "step": In(Step),
                "codes": In(activation_read(config).members["data"].shape),
                "pixels": In(pixel_read(config).members["data"].shape),
                "nibbles": In(weight_read(config).members["data"].shape),
                "keys": In(key_read(config).members["data"].shape),
                "values": In(value_read(config).members["data"].shape),
                "activations": Out(array(config.token_lanes, activations)),
                "weights": Out(array(config.row_lanes, weights)),
                "word": Out(Word),
            }
        )

    def elaborate(self, platform):
        m = Module()
        operands = self.step.tile.work.operands
        m.submodules.attention = attention = Nibbles(self.config)
        m.d.comb += [
            attention.keys.eq(self.keys),
            attention.values.eq(self.values),
            attention.of_values.eq(operands.weights == Weights.VALUES),
            attention.high.eq(self.step.high_nibble),
        ]
        # One choice between whole words: it is the same hardware as one for each code, and a
        # thousandth of the text.
        is_pixels, is_ring = (
            operands.activations == Activations.PIXELS,
            operands.weights == Weights.RING,
        )
        m.d.sync += [
            self.word.eq(self.step.word),
            self.activations.eq(Mux(is_pixels, self._slices(self.step.high_slice), self.codes)),
            self.weights.eq(Mux(is_ring, self.nibbles, attention.o)),
        ]
        return m

    def _slices(self, high: Value) -> Value:
        """The pixels as the activation port takes them: whole, or 4 bits of each."""
        pixels = [pixel for lane in self.pixels for pixel in lane]
        if self.config.act_bits == len(pixels[0]):
            return Cat(pixels)
        return _halves(pixels, high, self.config.act_bits)


def _halves(codes: list[Value], high: Value, bits: int = numerics.ATOM_BITS) -> Value:
    """Upper or lower nibbles of bytes, side by side, each extended to ``bits``."""
    middle = numerics.ATOM_BITS
    zeros = Const(0, bits - middle)
    upper = Cat(Cat(code[middle:], zeros) for code in codes)
    lower = Cat(Cat(code[:middle], zeros) for code in codes)
    return Mux(high, upper, lower)
