"""Loop nest of an instruction: its words one by one, and where their operands lie."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.instructions import Activations, Weights
from rtl.matmul.signals import LoopStep, PreparedInstruction
from rtl.memory.ports import ADDRESS
from rtl.model import numerics


class LoopNest(wiring.Component):
    """Walk the loops of each instruction: row tiles, passes, depth words; one word per cycle.

    ::

        for row_tile in range(row_tiles):
            for pass_ in range(passes):          # nibbles of 8-bit weights, slices of pixels
                for word in range(depth_words):
                    a step

    The one place of the matmul unit that stalls: a row tile's last word is held back until the
    drain of the row tile before has had its beats. They start a fixed number of cycles after that
    tile's last word, so counting here is enough. A row tile takes
    ``max(passes · depth_words, beats of the row tile before)`` cycles; instructions follow each
    other without a gap.

    Parameters
    ----------
    act_bits : int
        Bits of a hidden activation; with fewer than 8, pixels are fed as two slices.

    Members
    -------
    i : In(stream.Signature(PreparedInstruction))
    o : Out(LoopStep)
        A word in each cycle with ``o.word.valid``, ``LATENCY`` cycles after ``i`` if idle.
    stall_drain : Out(1)
        A word is held back.
    """

    LATENCY = 2

    def __init__(self, act_bits: int):
        self.sliced = act_bits < numerics.KV_BITS
        super().__init__(
            {
                "i": In(stream.Signature(PreparedInstruction)),
                "o": Out(LoopStep),
                "stall_drain": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        instruction = Signal(PreparedInstruction, reset_less=True)
        operands = instruction.dispatch.operands
        active, advance = Signal(), Signal()
        start, tile_start, pass_start = Signal(), Signal(), Signal()
        depth_left, bits8_tiles = Signal.like(operands.depth_words), Signal.like(operands.bits8)
        pass_, row_tile = Signal(2), Signal.like(self.o.tile.row_tile)
        bits8, sliced = Signal(), Signal()  # of the row tile, of the instruction
        words_done, passes_done, tiles_done = Signal(), Signal(), Signal()  # at the last of each
        last = Signal()
        drain_is_free = self._drain_is_free(m, advance & last, instruction.beats)
        m.d.comb += [
            passes_done.eq(pass_ == Cat(bits8 | sliced, bits8 & sliced)),
            last.eq(words_done & passes_done),
            advance.eq(active & (drain_is_free | ~last)),
            self.stall_drain.eq(active & ~advance),
            self.i.ready.eq(~active | (advance & last & tiles_done)),
        ]
        with m.If(advance):
            m.d.sync += [
                start.eq(0),
                tile_start.eq(last),
                pass_start.eq(words_done),
                depth_left.eq(Mux(words_done, operands.depth_words, depth_left - 1)),
                words_done.eq(Mux(words_done, operands.depth_words == 1, depth_left == 2)),
                pass_.eq(Mux(last, 0, pass_ + words_done)),
                row_tile.eq(row_tile + last),
                tiles_done.eq(Mux(last, row_tile + 2 == operands.row_tiles, tiles_done)),
            ]
            with m.If(last):
                m.d.sync += [
                    bits8_tiles.eq(bits8_tiles >> 1),
                    bits8.eq((operands.weights != Weights.RING) | bits8_tiles[1]),
                ]
        following = self.i.p.dispatch.operands
        with m.If(self.i.ready):
            m.d.sync += [
                active.eq(self.i.valid),
                instruction.eq(self.i.p),
                Cat(start, tile_start, pass_start).eq(~0),
                Cat(pass_, row_tile).eq(0),
                depth_left.eq(following.depth_words),
                words_done.eq(following.depth_words == 1),
                tiles_done.eq(following.row_tiles == 1),
                bits8_tiles.eq(following.bits8),
                bits8.eq((following.weights != Weights.RING) | following.bits8[0]),
                sliced.eq((following.activations == Activations.PIXELS) & self.sliced),
            ]
        self._name_tile(m, instruction, row_tile, tiles_done)
        m.d.sync += [
            self.o.start.eq(start),
            self.o.tile_start.eq(tile_start),
            self.o.word.valid.eq(advance),
            self.o.word.first.eq(tile_start),
            self.o.word.last.eq(last),
        ]
        self._add_pass(m, operands, pass_, pass_start, bits8, sliced)
        return m

    def _name_tile(self, m: Module, instruction: data.View, row_tile: Value, final: Value) -> None:
        """Say which row tile a step belongs to, and whether it is its instruction's last."""
        m.d.sync += [
            self.o.tile.dispatch.eq(instruction.dispatch),
            self.o.tile.lane_last.eq(instruction.lane_last),
            self.o.tile.row_tile.eq(row_tile),
            self.o.tile.final.eq(final),
        ]

    def _drain_is_free(self, m: Module, last: Value, beats: Value) -> Value:
        """Whether the drain will be free for a row tile that ends now.

        Its beats start, one per cycle, a fixed time after the ``last`` word of each row tile.
        """
        beats_left, free = Signal.like(beats), Signal(init=1)
        with m.If(last):
            m.d.sync += [beats_left.eq(beats - 1), free.eq(beats == 1)]
        with m.Elif(~free):
            m.d.sync += [beats_left.eq(beats_left - 1), free.eq(beats_left == 1)]
        return free

    def _add_pass(
        self, m: Module, operands: Value, pass_: Value, start: Value, bits8: Value, sliced: Value
    ) -> None:
        """Nibbles, signs and shifts by the table of passes in docs/design/0001-engine.md."""
        high_nibble = bits8 & ~Mux(sliced, pass_[1], pass_[0])
        from_ring = operands.weights == Weights.RING
        again = pass_.any() & (~from_ring | (sliced & pass_[0]))
        is_codes = operands.activations == Activations.CODES
        m.d.sync += [
            self.o.again.eq(start & again),
            self.o.new_words.eq(start & ~again),
            self.o.high_nibble.eq(high_nibble),
            self.o.high_slice.eq(~pass_[0]),
            self.o.word.shift_before.eq(start & pass_[0]),
            self.o.word.w_signed.eq(high_nibble | ~bits8),
            self.o.word.a_signed.eq(operands.act_signed & is_codes),
        ]


class OperandAddressGenerator(wiring.Component):
    """Read addresses of each step's word (docs/design/0001-engine.md, *Matmul*).

    ``o`` is ``i``, ``LATENCY`` cycles later, and belongs to the addresses.

    Parameters
    ----------
    weight_words : int
        Words of the weight ring, after which addresses wrap.

    Members
    -------
    i : In(LoopStep)
    o : Out(LoopStep)
    activation, weight : Out(ADDRESS)
    """

    LATENCY = 2

    def __init__(self, weight_words: int):
        self.weight_words = weight_words
        super().__init__(
            {
                "i": In(LoopStep),
                "o": Out(LoopStep),
                "activation": Out(ADDRESS),
                "weight": Out(ADDRESS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        i, next_operands = self.i, self.i.tile.dispatch.operands
        ring = next_operands.weights == Weights.RING
        values = next_operands.weights == Weights.VALUES
        by_step = ~ring & (values ^ i.tile_start)
        step, stride = Signal(LoopStep), Signal.like(next_operands.weight_step, reset_less=True)
        from_first, may_wrap = Signal(), Signal()
        m.d.sync += [
            step.eq(i),
            from_first.eq(i.again | (i.tile_start & ~ring)),
            may_wrap.eq(ring & ~i.again),
            stride.eq(Mux(i.again, 0, Mux(by_step, next_operands.weight_step, 1))),
        ]

        operands = step.tile.dispatch.operands
        pass_first = Signal(ADDRESS, reset_less=True)  # weight word that the pass began with
        weight = Signal(ADDRESS)
        at_end = may_wrap & (self.weight == self.weight_words - 1)
        source = Mux(from_first, pass_first, self.weight)
        m.d.comb += weight.eq(Mux(at_end, 0, source + stride))
        with m.If(step.start):
            m.d.comb += weight.eq(operands.weight_address)

        m.d.sync += self.o.eq(step)
        with m.If(step.word.valid):
            pass_start = step.again | step.new_words
            m.d.sync += [
                self.weight.eq(weight),
                self.activation.eq(
                    Mux(pass_start, operands.activation_address, self.activation + 1)
                ),
            ]
            with m.If(step.new_words):
                m.d.sync += pass_first.eq(weight)
        return m
