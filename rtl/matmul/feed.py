"""Operand feed: an instruction becomes one word of operands per cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Activations, Destination, Weights
from rtl.lib.pipeline import delayed
from rtl.lib.streams import connect
from rtl.matmul.loop_nest import Addresses, Steps
from rtl.matmul.signals import WORK, Job, RowTile, Step, Word
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


class Intake(wiring.Component):
    """Holds the next two instructions ready, with what can be computed beforehand.

    Members
    -------
    i : In(stream.Signature(WORK))
    o : Out(stream.Signature(Job))
        ``LATENCY`` cycles after ``i``.
    """

    LATENCY = 2

    def __init__(self):
        super().__init__({"i": In(stream.Signature(WORK)), "o": Out(stream.Signature(Job))})

    def elaborate(self, platform):
        m = Module()
        job = Signal(Job, reset_less=True)
        valid = Signal()
        operands = self.i.p.operands
        m.d.comb += self.i.ready.eq(~valid)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                valid.eq(1),
                job.work.eq(self.i.p),
                job.lane_last.eq(operands.lane_first + operands.lane_count - 1),
            ]
        with m.Elif(~self.o.valid | self.o.ready):
            m.d.sync += valid.eq(0)

        first, last = job.work.operands.lane_first, job.lane_last
        scores = job.work.operands.destination == Destination.SCORES
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(valid),
                self.o.p.eq(job),
                self.o.p.beats.eq(
                    Mux(scores, (last >> 2) - (first >> 2), (last >> 1) - (first >> 1)) + 1
                ),
            ]
        return m


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


class Feed(wiring.Component):
    """Turns instructions into words of operands for the array, one per cycle.

    ``START_CYCLES`` from an instruction's acceptance, in an idle unit, to its first step;
    ``LATENCY`` from a step to its operands. ``tile`` announces, beside the step, each row tile's
    last word to the drain.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream.Signature(WORK))
    activations, pixels, weights, keys, values : Out
        Read ports.
    activation_words : Out(token_lanes x depth_lanes x unsigned(act_bits))
    weight_words : Out(row_lanes x depth_lanes x unsigned(4))
    word : Out(Word)
    tile : Out(RowTile)
    tile_valid : Out(1)
    busy : Out(1)
        A word is issued.
    stall_drain : Out(1)
        A word is held back because the drain is busy.
    """

    START_CYCLES = Intake.LATENCY + Steps.LATENCY
    LATENCY = Addresses.LATENCY + READ_LATENCY + Selection.LATENCY

    def __init__(self, config: EngineConfig):
        self.config = config
        activations = array(config.depth_lanes, unsigned(config.act_bits))
        weights = array(config.depth_lanes, unsigned(numerics.ATOM_BITS))
        super().__init__(
            {
                "i": In(stream.Signature(WORK)),
                "activations": Out(activation_read(config)),
                "pixels": Out(pixel_read(config)),
                "weights": Out(weight_read(config)),
                "keys": Out(key_read(config)),
                "values": Out(value_read(config)),
                "activation_words": Out(array(config.token_lanes, activations)),
                "weight_words": Out(array(config.row_lanes, weights)),
                "word": Out(Word),
                "tile": Out(RowTile),
                "tile_valid": Out(1),
                "busy": Out(1),
                "stall_drain": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.intake = intake = Intake()
        m.submodules.steps = steps = Steps(self.config.act_bits)
        m.submodules.addresses = addresses = Addresses(self.config.weight_words)
        m.submodules.selection = selection = Selection(self.config)

        connect(m, producer=wiring.flipped(self.i), consumer=intake.i)
        connect(m, producer=intake.o, consumer=steps.i)
        m.d.comb += [
            self.busy.eq(steps.o.word.valid),
            self.stall_drain.eq(steps.stall_drain),
            self.tile.eq(steps.o.tile),
            self.tile_valid.eq(steps.o.word.valid & steps.o.word.last),
            addresses.i.eq(steps.o),
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

    def _read(self, m: Module, addresses: Addresses) -> None:
        """Send each word's addresses to the two scratchpads that it comes from."""
        operands = addresses.o.tile.work.operands
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
