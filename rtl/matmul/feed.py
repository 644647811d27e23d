"""The operand feed: an instruction becomes one word of operands per cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl import numerics
from rtl.config import EngineConfig
from rtl.control.isa import Activations, Destination, Weights
from rtl.link import link
from rtl.matmul.signals import WORK, Job, RowTile, Step, Word
from rtl.memory.ports import (
    ADDRESS,
    READ_LATENCY,
    activation_read,
    array,
    key_read,
    pixel_read,
    value_read,
    weight_read,
)
from rtl.pipeline import delayed


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


class Steps(wiring.Component):
    """Walk the loop nest of each instruction: row tiles, passes, depth words; one word per cycle.

    The one place of the matmul unit that stalls: a row tile's last word is held back until the
    drain of the row tile before has had its beats. They start a fixed number of cycles after that
    tile's last word, so that counting here is enough. A row tile takes
    ``max(passes · depth_words, beats of the row tile before)`` cycles; instructions follow each
    other without a gap.

    Parameters
    ----------
    act_bits : int
        Below 8, pixels are two slices.

    Members
    -------
    i : In(stream.Signature(Job))
    o : Out(Step)
        A word in each cycle with ``o.word.valid``, ``LATENCY`` cycles after ``i`` if idle.
    stall_drain : Out(1)
        A word is held back.
    """

    LATENCY = 2

    def __init__(self, act_bits: int):
        self.sliced = act_bits < numerics.KV_BITS
        super().__init__({"i": In(stream.Signature(Job)), "o": Out(Step), "stall_drain": Out(1)})

    def elaborate(self, platform):
        m = Module()
        job = Signal(Job, reset_less=True)
        operands = job.work.operands
        active, advance = Signal(), Signal()
        start, tile_start, pass_start = Signal(), Signal(), Signal()
        depth_left, wide_tiles = Signal.like(operands.depth_words), Signal.like(operands.wide)
        pass_, row_tile = Signal(2), Signal.like(self.o.tile.row_tile)

        wide, sliced = Signal(), Signal()
        words_done, passes_done, tiles_done, last = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            wide.eq((operands.weights != Weights.RING) | wide_tiles[0]),
            sliced.eq((operands.activations == Activations.PIXELS) & self.sliced),
            words_done.eq(depth_left == 1),
            passes_done.eq(pass_ == Cat(wide | sliced, wide & sliced)),
            tiles_done.eq(row_tile + 1 == operands.row_tiles),
            last.eq(words_done & passes_done),
            advance.eq(active & (self._drain_is_free(m, advance & last, job.beats) | ~last)),
            self.stall_drain.eq(active & ~advance),
            self.i.ready.eq(~active | (advance & last & tiles_done)),
        ]
        with m.If(advance):
            m.d.sync += [
                Cat(start, tile_start, pass_start).eq(Cat(0, last, words_done)),
                depth_left.eq(Mux(words_done, operands.depth_words, depth_left - 1)),
                pass_.eq(Mux(last, 0, pass_ + words_done)),
                row_tile.eq(row_tile + last),
                wide_tiles.eq(Mux(last, wide_tiles >> 1, wide_tiles)),
            ]
        with m.If(self.i.ready):
            m.d.sync += [
                active.eq(self.i.valid),
                job.eq(self.i.p),
                Cat(start, tile_start, pass_start).eq(~0),
                Cat(pass_, row_tile).eq(0),
                depth_left.eq(self.i.p.work.operands.depth_words),
                wide_tiles.eq(self.i.p.work.operands.wide),
            ]

        m.d.sync += [
            self.o.tile.eq(Cat(job.work, job.lane_last, row_tile, tiles_done)),
            self.o.start.eq(start),
            self.o.tile_start.eq(tile_start),
            self.o.word.valid.eq(advance),
            self.o.word.first.eq(tile_start),
            self.o.word.last.eq(last),
        ]
        self._passes(m, operands, pass_, pass_start, wide, sliced)
        return m

    def _drain_is_free(self, m: Module, last: Value, beats: Value) -> Value:
        """Whether the drain will be free for a row tile that ends now; its beats start one by one
        after the ``last`` word of each."""
        beats_left = Signal.like(beats)
        with m.If(last):
            m.d.sync += beats_left.eq(beats - 1)
        with m.Elif(beats_left.any()):
            m.d.sync += beats_left.eq(beats_left - 1)
        return ~beats_left.any()

    def _passes(
        self, m: Module, operands: Value, pass_: Value, start: Value, wide: Value, sliced: Value
    ) -> None:
        """The table of passes in docs/design/0001-engine.md: nibbles, signs, shifts."""
        high_nibble = wide & ~Mux(sliced, pass_[1], pass_[0])
        from_ring = operands.weights == Weights.RING
        again = pass_.any() & (~from_ring | (sliced & pass_[0]))
        is_codes = operands.activations == Activations.CODES
        m.d.sync += [
            self.o.again.eq(start & again),
            self.o.new_words.eq(start & ~again),
            self.o.high_nibble.eq(high_nibble),
            self.o.high_slice.eq(~pass_[0]),
            self.o.word.shift_before.eq(start & pass_[0]),
            self.o.word.w_signed.eq(high_nibble | ~wide),
            self.o.word.a_signed.eq(operands.act_signed & is_codes),
        ]


class Addresses(wiring.Component):
    """Read addresses of each step's word (docs/design/0001-engine.md, *Matmul*).

    ``o`` is ``i``, ``LATENCY`` cycles later, and belongs to the addresses.

    Parameters
    ----------
    weight_words : int
        Where the ring wraps.

    Members
    -------
    i : In(Step)
    o : Out(Step)
    activation, weight : Out(ADDRESS)
    """

    LATENCY = 2

    def __init__(self, weight_words: int):
        self.weight_words = weight_words
        super().__init__(
            {"i": In(Step), "o": Out(Step), "activation": Out(ADDRESS), "weight": Out(ADDRESS)}
        )

    def elaborate(self, platform):
        m = Module()
        i, of_i = self.i, self.i.tile.work.operands
        ring, values = of_i.weights == Weights.RING, of_i.weights == Weights.VALUES
        by_step = ~ring & (values ^ i.tile_start)
        step, stride = Signal(Step), Signal.like(of_i.weight_step, reset_less=True)
        from_first, may_wrap = Signal(), Signal()
        m.d.sync += [
            step.eq(i),
            from_first.eq(i.again | (i.tile_start & ~ring)),
            may_wrap.eq(ring & ~i.again),
            stride.eq(Mux(i.again, 0, Mux(by_step, of_i.weight_step, 1))),
        ]

        operands = step.tile.work.operands
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

        link(m, wiring.flipped(self.i), intake.i)
        link(m, intake.o, steps.i)
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


def _halves(codes: list[Value], high: Value, bits: int = numerics.ATOM_BITS) -> Value:
    """Upper or lower nibbles of bytes, side by side, each extended to ``bits``."""
    middle = numerics.ATOM_BITS
    zeros = Const(0, bits - middle)
    upper = Cat(Cat(code[middle:], zeros) for code in codes)
    lower = Cat(Cat(code[:middle], zeros) for code in codes)
    return Mux(high, upper, lower)
