"""The drain's last step: values to scratchpads, completions to the semaphores."""

from amaranth.hdl import Module, Mux, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.requantize import CODE
from rtl.config import EngineConfig
from rtl.isa.instructions import Destination
from rtl.isa.layouts import COMPLETION
from rtl.lib.pipeline import delayed
from rtl.matmul.array import PAIR
from rtl.matmul.beats import placement_layout
from rtl.memory.ports import (
    KEY_VALUE,
    WritePort,
    activation_code,
    activation_write,
    array,
    key_value_write,
    residual_write,
)


class Writers(wiring.Component):
    """Sends the values of each beat to the scratchpad of its destination.

    Free running: writes come ``LATENCY`` cycles after ``place``, ``done`` one cycle later, when
    the instruction's last write has landed.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    place : In(placement_layout(config))
    valid : In(1)
    activations : In(2 · row_lanes x unsigned(act_bits))
    codes : In(2 · row_lanes x signed(8))
        Keys and values.
    residual : In(2 · row_lanes x signed(16))
        ``LATENCY`` cycles after ``place``.
    activation_write, key_write, value_write, residual_write : Out
        Write ports.
    done : Out(COMPLETION)
    """

    LATENCY = 1

    def __init__(self, config: EngineConfig):
        self.config = config
        lanes = PAIR * config.row_lanes
        super().__init__(
            {
                "place": In(placement_layout(config)),
                "valid": In(1),
                "activations": In(array(lanes, activation_code(config))),
                "codes": In(array(lanes, KEY_VALUE)),
                "residual": In(array(lanes, CODE)),
                "activation_write": Out(WritePort(activation_write(config))),
                "key_write": Out(WritePort(key_value_write(config, config.row_lanes))),
                "value_write": Out(WritePort(key_value_write(config, config.depth_lanes))),
                "residual_write": Out(WritePort(residual_write(config))),
                "done": Out(COMPLETION),
            }
        )

    def elaborate(self, platform):
        m = Module()
        place = delayed(m, self.place, self.LATENCY, name="place")
        valid = delayed(m, self.valid, self.LATENCY, name="valid", marker=True)
        activations = delayed(m, self.activations, self.LATENCY, name="activations")
        codes = delayed(m, self.codes, self.LATENCY, name="codes")
        work = place.beat.tile.work
        ports = {
            Destination.ACTIVATIONS: self.activation_write,
            Destination.KEYS: self.key_write,
            Destination.VALUES: self.value_write,
            Destination.RESIDUAL: self.residual_write,
        }
        for destination, port in ports.items():
            destined = self.place.beat.tile.work.operands.destination == destination
            m.d.sync += port.valid.eq(self.valid & destined)
            m.d.comb += [
                port.beat.enable.eq(_of_pair(place.enable, place.beat.pair[0])),
                port.beat.word.eq(place.word),
                port.beat.number.eq(work.number),
            ]
        m.d.comb += [
            self.activation_write.beat.pair.eq(place.beat.pair),
            self.activation_write.beat.mask.eq(place.granules),
            self.key_write.beat.pair.eq(place.token[1:]),
            self.value_write.beat.pair.eq(place.token[1:]),
            self.residual_write.beat.half.eq(place.token[1]),
            _lanes(self.activation_write.beat.codes, activations),
            _lanes(self.key_write.beat.codes, codes),
            _lanes(self.value_write.beat.codes, codes),
            _lanes(self.residual_write.beat.values, self.residual),
        ]
        m.d.sync += [
            self.done.valid.eq(valid & place.beat.done),
            self.done.signal.eq(work.signal),
            self.done.number.eq(work.number),
        ]
        return m


def _of_pair(lanes: Value, odd: Value) -> Value:
    """The two of a group's four lanes that a beat holds."""
    return Mux(odd, lanes[PAIR:], lanes[:PAIR])


def _lanes(words: data.View, values: data.View) -> list:
    """Assign ``values``, first token's rows first, to two words."""
    rows = len(values) // PAIR
    return [
        words[token][row].eq(values[token * rows + row])
        for token in range(PAIR)
        for row in range(rows)
    ]
