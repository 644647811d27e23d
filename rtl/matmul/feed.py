"""The operand feed: an instruction becomes one word of operands per cycle."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Activations, Weights
from rtl.lib.pipeline import delayed
from rtl.lib.streams import connect
from rtl.matmul.addresses import Addresses
from rtl.matmul.intake import Intake
from rtl.matmul.selection import Selection
from rtl.matmul.signals import WORK, RowTile, Word
from rtl.matmul.steps import Steps
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
