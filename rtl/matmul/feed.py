"""Operand feed: an instruction becomes one word of operands per cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Activations, Destination, Weights
from rtl.lib.pipeline import delayed
from rtl.lib.streams import connect
from rtl.matmul.loop_nest import LoopNest, OperandAddressGenerator
from rtl.matmul.signals import DISPATCH, LoopStep, PreparedInstruction, RowTile, WordFlags
from rtl.memory.ports import (
    READ_LATENCY,
    activation_read,
    array,
    key_read,
    pixel_read,
    value_read,
    weight_read,
)
from rtl.model import numerics


class InstructionBuffer(wiring.Component):
    """Hold the next two instructions ready, with what can be computed before their first word.

    Members
    -------
    i : In(stream.Signature(DISPATCH))
    o : Out(stream.Signature(PreparedInstruction))
        ``LATENCY`` cycles after ``i``.
    """

    LATENCY = 2

    i: In(stream.Signature(DISPATCH))
    o: Out(stream.Signature(PreparedInstruction))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        instruction = Signal(PreparedInstruction, reset_less=True)
        valid = Signal()
        operands = self.i.p.operands
        m.d.comb += self.i.ready.eq(~valid)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                valid.eq(1),
                instruction.dispatch.eq(self.i.p),
                instruction.lane_last.eq(operands.lane_first + operands.lane_count - 1),
            ]
        with m.Elif(~self.o.valid | self.o.ready):
            m.d.sync += valid.eq(0)

        first, last = instruction.dispatch.operands.lane_first, instruction.lane_last
        scores = instruction.dispatch.operands.destination == Destination.SCORES
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(valid),
                self.o.p.eq(instruction),
                self.o.p.beats.eq(
                    Mux(scores, (last >> 2) - (first >> 2), (last >> 1) - (first >> 1)) + 1
                ),
            ]
        return m


class AttentionNibbles(wiring.Component):
    """Nibbles of keys or of values, row by row.

    Without a register. A module of its own, so that synthesis makes this choice among four with
    one LUT of six inputs, and the choice between it and the weight ring with another.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    keys, values : In
        Data of the read ports.
    of_values : In(1)
        Take values, not keys.
    high : In(1)
        Take the upper nibbles.
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, depth = range(self.config.row_lanes), range(self.config.depth_lanes)
        keys = [self.keys[r][d] for r in rows for d in depth]
        values = [self.values[d][r] for r in rows for d in depth]
        m.d.comb += self.o.eq(
            Mux(self.of_values, _halves(values, self.high), _halves(keys, self.high))
        )
        return m


class OperandSelection(wiring.Component):
    """Pick each word's operands from what the scratchpads answered: source, nibble, slice.

    Latency ``LATENCY`` cycles, one word per cycle, no flow control.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    step : In(LoopStep)
        Arrives with the data.
    codes, pixels, nibbles, keys, values : In
        Data of the read ports.
    activations : Out(token_lanes x depth_lanes x unsigned(act_bits))
    weights : Out(row_lanes x depth_lanes x unsigned(4))
    word : Out(WordFlags)
    """

    LATENCY = 1

    def __init__(self, config: EngineConfig):
        self.config = config
        activations = array(config.depth_lanes, unsigned(config.act_bits))
        weights = array(config.depth_lanes, unsigned(numerics.ATOM_BITS))
        super().__init__(
            {
                "step": In(LoopStep),
                "codes": In(activation_read(config).members["data"].shape),
                "pixels": In(pixel_read(config).members["data"].shape),
                "nibbles": In(weight_read(config).members["data"].shape),
                "keys": In(key_read(config).members["data"].shape),
                "values": In(value_read(config).members["data"].shape),
                "activations": Out(array(config.token_lanes, activations)),
                "weights": Out(array(config.row_lanes, weights)),
                "word": Out(WordFlags),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operands = self.step.tile.dispatch.operands
        m.submodules.attention = attention = AttentionNibbles(self.config)
        m.d.comb += [
            attention.keys.eq(self.keys),
            attention.values.eq(self.values),
            attention.of_values.eq(operands.weights == Weights.VALUES),
            attention.high.eq(self.step.high_nibble),
        ]
        # One choice between whole words: it is the same hardware as one for each code, and a
        # thousandth of the text.
        is_pixels = operands.activations == Activations.PIXELS
        is_ring = operands.weights == Weights.RING
        m.d.sync += [
            self.word.eq(self.step.word),
            self.activations.eq(Mux(is_pixels, self._slices(self.step.high_slice), self.codes)),
            self.weights.eq(Mux(is_ring, self.nibbles, attention.o)),
        ]
        return m

    def _slices(self, high: Value) -> Value:
        """Pixels as the activation port takes them: whole, or 4 bits of each."""
        pixels = [pixel for lane in self.pixels for pixel in lane]
        if self.config.act_bits == len(pixels[0]):
            return Cat(pixels)
        return _halves(pixels, high, self.config.act_bits)


class Feed(wiring.Component):
    """Turn instructions into words of operands for the array, one per cycle.

    ::

        i ─► buffer ─► loop_nest ─► addresses ─► scratchpads ─► selection ─► words
                           └─► tile, beside each row tile's last word

    ``START_CYCLES`` from an instruction's acceptance, in an idle unit, to its first step;
    ``LATENCY`` from a step to its operands. ``tile`` announces, beside the step, each row tile's
    last word to the drain.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream.Signature(DISPATCH))
    activations, pixels, weights, keys, values : Out
        Read ports.
    activation_words : Out(token_lanes x depth_lanes x unsigned(act_bits))
    weight_words : Out(row_lanes x depth_lanes x unsigned(4))
    word : Out(WordFlags)
    tile : Out(RowTile)
    tile_valid : Out(1)
    busy : Out(1)
        A word is issued.
    stall_drain : Out(1)
        A word is held back because the drain is busy.
    """

    START_CYCLES = InstructionBuffer.LATENCY + LoopNest.LATENCY
    LATENCY = OperandAddressGenerator.LATENCY + READ_LATENCY + OperandSelection.LATENCY

    def __init__(self, config: EngineConfig):
        self.config = config
        activations = array(config.depth_lanes, unsigned(config.act_bits))
        weights = array(config.depth_lanes, unsigned(numerics.ATOM_BITS))
        super().__init__(
            {
                "i": In(stream.Signature(DISPATCH)),
                "activations": Out(activation_read(config)),
                "pixels": Out(pixel_read(config)),
                "weights": Out(weight_read(config)),
                "keys": Out(key_read(config)),
                "values": Out(value_read(config)),
                "activation_words": Out(array(config.token_lanes, activations)),
                "weight_words": Out(array(config.row_lanes, weights)),
                "word": Out(WordFlags),
                "tile": Out(RowTile),
                "tile_valid": Out(1),
                "busy": Out(1),
                "stall_drain": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = InstructionBuffer()
        m.submodules.loop_nest = loop_nest = LoopNest(self.config.act_bits)
        m.submodules.addresses = addresses = OperandAddressGenerator(self.config.weight_words)
        m.submodules.selection = selection = OperandSelection(self.config)

        connect(m, producer=wiring.flipped(self.i), consumer=buffer.i)
        connect(m, producer=buffer.o, consumer=loop_nest.i)
        m.d.comb += [
            self.busy.eq(loop_nest.o.word.valid),
            self.stall_drain.eq(loop_nest.stall_drain),
            self.tile.eq(loop_nest.o.tile),
            self.tile_valid.eq(loop_nest.o.word.valid & loop_nest.o.word.last),
            addresses.i.eq(loop_nest.o),
        ]
        self._read(m, addresses)
        m.d.comb += [
            selection.step.eq(delayed(m, addresses.o, READ_LATENCY, name="step")),
            selection.codes.eq(self.activations.data),
            selection.pixels.eq(self.pixels.data),
            selection.nibbles.eq(self.weights.data),
            selection.keys.eq(self.keys.data),
            selection.values.eq(self.values.data),
            self.activation_words.eq(selection.activations),
            self.weight_words.eq(selection.weights),
            self.word.eq(selection.word),
        ]
        return m

    def _read(self, m: Module, addresses: OperandAddressGenerator) -> None:
        """Send each word's addresses to the two scratchpads that it comes from."""
        operands = addresses.o.tile.dispatch.operands
        activations, weights = operands.activations, operands.weights
        for port, address, enable in (
            (self.activations, addresses.activation, activations == Activations.CODES),
            (self.pixels, addresses.activation, activations == Activations.PIXELS),
            (self.weights, addresses.weight, weights == Weights.RING),
            (self.keys, addresses.weight, weights == Weights.KEYS),
            (self.values, addresses.weight, weights == Weights.VALUES),
        ):
            m.d.comb += [
                port.request.eq(address),
                port.enable.eq(addresses.o.word.valid & enable),
            ]


def _halves(codes: list[Value], high: Value, bits: int = numerics.ATOM_BITS) -> Value:
    """Upper or lower nibbles of bytes, side by side, each extended to ``bits``."""
    middle = numerics.ATOM_BITS
    zeros = Const(0, bits - middle)
    upper = Cat(Cat(code[middle:], zeros) for code in codes)
    lower = Cat(Cat(code[:middle], zeros) for code in codes)
    return Mux(high, upper, lower)
