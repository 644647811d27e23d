"""The scratchpads: banks of simple dual-port memory behind the ports of :mod:`rtl.memory.ports`.

Every write passes a :class:`Landing`: a register that also checks the address and is what the
simulation tap shows. A write is in memory ``WRITE_LATENCY`` cycles after it was accepted; a unit
that signals its completion in that cycle or later cannot be overtaken by a read, because the
semaphore takes two cycles more. What a read of a word returns that is being written is undefined:
the compiler's semaphores exclude it.

Every scratchpad has ``fault``, and with ``tap=True`` ``tap``, by writer: a ``valid`` and the
``beat`` that lands. Without, the port does not exist.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import ceil_log2, exact_log2

from rtl import numerics
from rtl.choose import choose
from rtl.config import EngineConfig
from rtl.control.faults import FAULT, FaultCode, FirstFault, fault
from rtl.control.isa import Unit
from rtl.emit import once
from rtl.link import link
from rtl.memory.ports import (
    READ_LATENCY,
    ReadPort,
    RowParameters,
    WritePort,
    activation_read,
    activation_write,
    exponent_read,
    key_read,
    key_value_write,
    parameter_read,
    part_write,
    pixel_read,
    pixel_write,
    residual_read,
    residual_write,
    score_read,
    score_write,
    value_read,
    weight_read,
)
from rtl.pipeline import delayed

WRITE_LATENCY = 2


class TapSignature(WritePort):
    """A write as it lands, for simulation: ``valid`` and ``beat``."""


def _observed(writers: dict[str, data.StructLayout], tap: bool) -> dict[str, wiring.Member]:
    """Members that every scratchpad has: ``fault``, and ``tap`` with a signature per writer."""
    members = {"fault": Out(FAULT)}
    if tap:
        taps = {name: Out(TapSignature(layout)) for name, layout in writers.items()}
        members["tap"] = Out(Signature(taps))
    return members


class Bank(wiring.Component):
    """One memory of ``depth`` words, each of ``parts`` with a write enable of their own.

    A read answers after ``READ_LATENCY`` cycles: memory, then its output register.

    Members
    -------
    write_enable : In(parts)
    write_word : In(address)
    write_data, read_data : In, Out(parts * part_bits)
    read_enable : In(1)
    read_word : In(address)
    """

    def __init__(self, depth: int, parts: int, part_bits: int):
        self.parameters = (depth, parts, part_bits)
        address, word = ceil_log2(depth), parts * part_bits
        super().__init__(
            {
                "write_enable": In(parts),
                "write_word": In(address),
                "write_data": In(word),
                "read_enable": In(1),
                "read_word": In(address),
                "read_data": Out(word),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, parts, part_bits = self.parameters
        word = unsigned(parts * part_bits)
        m.submodules.words = words = memory.Memory(shape=word, depth=depth, init=[])
        write, read = words.write_port(granularity=part_bits), words.read_port()
        m.d.comb += [
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_word),
            write.data.eq(self.write_data),
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_word),
        ]
        m.d.sync += self.read_data.eq(read.data)
        return m


class Landing(wiring.Component):
    """The register before a bank: stops a write beyond the last word and reports it.

    Parameters
    ----------
    layout : StructLayout
        With ``word`` and ``number``.
    depth : int
        Words of a bank.
    unit : Unit
        Whose writes these are.

    Members
    -------
    i : In(WritePort(layout))
    o : Out(WritePort(layout))
        What is written, a cycle later.
    fault : Out(FAULT)
    """

    def __init__(self, layout: data.StructLayout, depth: int, unit: Unit):
        self.depth = depth
        self.unit = unit
        super().__init__(
            {"i": In(WritePort(layout)), "o": Out(WritePort(layout)), "fault": Out(FAULT)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.i.beat
        inside = Signal()
        m.d.comb += inside.eq(beat.word < self.depth)
        m.d.sync += [
            self.o.valid.eq(self.i.valid & inside),
            self.o.beat.eq(beat),
            self.fault.eq(fault(self.i.valid & ~inside, FaultCode.ADDRESS, self.unit, beat.number)),
        ]
        return m


class ReadGuard(wiring.Component):
    """Reports a read beyond the last word, as the reading unit's latest instruction's.

    Members
    -------
    enable : In(1)
    word : In(16)
    fault : Out(FAULT)
    """

    def __init__(self, depth: int, unit: Unit):
        self.depth = depth
        self.unit = unit
        super().__init__({"enable": In(1), "word": In(16), "fault": Out(FAULT)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beyond = self.enable & (self.word >= self.depth)
        m.d.sync += self.fault.eq(fault(beyond, FaultCode.ADDRESS, self.unit))
        return m


class Scratchpad(wiring.Component):
    """What all scratchpads have in common: landings, guards, faults, taps."""

    def __init__(
        self,
        config: EngineConfig,
        ports: dict[str, wiring.Member],
        writers: dict[str, data.StructLayout],
        tap: bool,
    ):
        self.config = config
        self._writers = writers
        self._tap = tap
        super().__init__(ports | _observed(writers, tap))

    def land(self, m: Module, writes: dict[str, wiring.PureInterface], depth: int) -> list[Landing]:
        """A landing for each writer, linked to its write port, fault and tap connected."""
        landings = []
        for name, write in writes.items():
            landing = Landing(self._writers[name], depth, _UNIT_OF_WRITER[name])
            m.submodules[f"{name}_landing"] = landing
            link(m, wiring.flipped(write), landing.i)
            if self._tap:
                tap = getattr(self.tap, name)
                m.d.comb += [tap.valid.eq(landing.o.valid), tap.beat.eq(landing.o.beat)]
            landings.append(landing)
        return landings

    def guard(self, m: Module, read: wiring.PureInterface, depth: int, unit: Unit) -> ReadGuard:
        """Watches a read port; ``depth`` is the number of its words or granules."""
        m.submodules.guard = guard = ReadGuard(depth, unit)
        m.d.comb += [guard.enable.eq(read.enable), guard.word.eq(read.request)]
        return guard

    def report(self, m: Module, *sources: Landing | ReadGuard) -> None:
        m.submodules.faults = faults = FirstFault(len(sources))
        m.d.comb += [faults.sources[i].eq(source.fault) for i, source in enumerate(sources)]
        m.d.comb += self.fault.eq(faults.o)


_UNIT_OF_WRITER = {
    "drain": Unit.MATMUL,
    "softmax": Unit.SOFTMAX,
    "norm": Unit.NORM,
    "load": Unit.LOAD,
}


def _split_granule(config: EngineConfig, request: Value) -> tuple[Value, Value]:
    """Word and granule within the word of a granule address."""
    bits = exact_log2(config.granules)
    return request[bits:], request[:bits]


def _granules(word: Value, config: EngineConfig, code_bits: int, granule: Value) -> list[Value]:
    """``granule`` of each of the words of ``row_lanes`` codes that ``word`` consists of."""
    bits = config.depth_lanes * code_bits
    words = len(word) // (config.granules * bits)
    parts = [word[i * bits : (i + 1) * bits] for i in range(words * config.granules)]
    return [
        choose(parts[i * config.granules : (i + 1) * config.granules], granule)
        for i in range(words)
    ]


# ---------------------------------------------------------------- three writers


class ActivationMemory(Scratchpad):
    """Activations, Q, attention weights, context: a bank per pair of token lanes.

    Each pair takes one write per cycle: the drain's before softmax's before norm's.

    Members
    -------
    drain : In(WritePort(activation_write))
    softmax, norm : In(stream of activation_write)
    read : In(activation_read)
    """

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        layout = activation_write(config)
        ports = {
            "drain": In(WritePort(layout)),
            "softmax": In(stream.Signature(layout)),
            "norm": In(stream.Signature(layout)),
            "read": In(activation_read(config)),
        }
        super().__init__(config, ports, dict.fromkeys(("drain", "softmax", "norm"), layout), tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, depth = self.config, self.config.activation_words
        m.submodules.arbiter = arbiter = ActivationArbiter(config)
        link(m, wiring.flipped(self.drain), arbiter.drain)
        link(m, wiring.flipped(self.softmax), arbiter.softmax)
        link(m, wiring.flipped(self.norm), arbiter.norm)
        accepted = dict(zip(self._writers, arbiter.accepted, strict=True))
        landings = self.land(m, {n: wiring.flipped(w) for n, w in accepted.items()}, depth)
        guard = self.guard(m, self.read, depth * config.granules, Unit.MATMUL)
        self.report(m, *landings, guard)

        word, granule = _split_granule(config, self.read.request)
        late = delayed(m, granule, READ_LATENCY, name="granule")
        for pair in range(config.token_lanes // 2):
            port = PairPort(config, len(landings))
            bank = Bank(depth, 2 * config.granules, config.depth_lanes * config.act_bits)
            m.submodules[f"port_{pair}"] = once(port, platform)
            m.submodules[f"bank_{pair}"] = once(bank, platform)
            m.d.comb += [port.pair.eq(pair), bank.read_enable.eq(self.read.enable)]
            m.d.comb += [port.writes[i].valid.eq(x.o.valid) for i, x in enumerate(landings)]
            m.d.comb += [port.writes[i].beat.eq(x.o.beat) for i, x in enumerate(landings)]
            m.d.comb += [
                bank.write_enable.eq(port.enable),
                bank.write_word.eq(port.word),
                bank.write_data.eq(port.codes),
                bank.read_word.eq(word),
            ]
            lanes = _granules(bank.read_data, config, config.act_bits, late)
            m.d.comb += [self.read.data[2 * pair + i].eq(lane) for i, lane in enumerate(lanes)]
        return m


class ActivationArbiter(wiring.Component):
    """Lets a writer through unless a more important one writes the same pair of banks.

    Members
    -------
    drain : In(WritePort(activation_write))
    softmax, norm : In(stream of activation_write)
    accepted : Out(WritePort(activation_write)) x 3
    """

    def __init__(self, config: EngineConfig):
        layout = activation_write(config)
        super().__init__(
            {
                "drain": In(WritePort(layout)),
                "softmax": In(stream.Signature(layout)),
                "norm": In(stream.Signature(layout)),
                "accepted": Out(WritePort(layout)).array(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        drain, softmax, norm = self.drain, self.softmax, self.norm
        drained = drain.valid & (drain.beat.pair == norm.p.pair)
        softened = softmax.valid & (softmax.p.pair == norm.p.pair)
        m.d.comb += [
            softmax.ready.eq(~(drain.valid & (drain.beat.pair == softmax.p.pair))),
            norm.ready.eq(~drained & ~softened),
            self.accepted[0].valid.eq(drain.valid),
            self.accepted[0].beat.eq(drain.beat),
        ]
        for accepted, writer in zip(self.accepted[1:], (softmax, norm), strict=True):
            m.d.comb += [
                accepted.valid.eq(writer.valid & writer.ready), accepted.beat.eq(writer.p)
            ]  # fmt: skip
        return m


class PairPort(wiring.Component):
    """Selects, of all writers, the one that writes this pair of banks. No register.

    Members
    -------
    pair : In(range(pairs))
        Constant.
    writes : In(WritePort(activation_write)) x writers
        At most one of them for this pair.
    enable, word, codes : Out
        Of the bank, parts being granules.
    """

    def __init__(self, config: EngineConfig, writers: int):
        self.parameters = (config.token_lanes, config.row_lanes, config.depth_lanes,
                           config.act_bits, writers)  # fmt: skip
        layout = activation_write(config)
        self.granules = config.granules
        super().__init__(
            {
                "pair": In(layout["pair"].shape),
                "writes": In(WritePort(layout)).array(writers),
                "enable": Out(2 * config.granules),
                "word": Out(layout["word"].shape),
                "codes": Out(layout["codes"].width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for write in self.writes:
            beat = write.beat
            lanes = Cat(beat.mask & lane.replicate(self.granules) for lane in beat.enable)
            with m.If(write.valid & (beat.pair == self.pair)):
                m.d.comb += [
                    self.enable.eq(lanes), self.word.eq(beat.word), self.codes.eq(beat.codes)
                ]  # fmt: skip
        return m


# ---------------------------------------------------------------- one writer, one reader


class PixelMemory(Scratchpad):
    """Pixels: one memory, a part per token lane.

    Members
    -------
    write : In(WritePort(pixel_write))
    read : In(pixel_read)
    """

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        layout = pixel_write(config)
        ports = {"write": In(WritePort(layout)), "read": In(pixel_read(config))}
        super().__init__(config, ports, {"load": layout}, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, depth = self.config.token_lanes, self.config.pixel_words
        (landing,) = self.land(m, {"load": self.write}, depth)
        self.report(m, landing, self.guard(m, self.read, depth, Unit.MATMUL))
        m.submodules.bank = bank = Bank(depth, lanes, 8 * self.config.depth_lanes)
        beat = landing.o.beat
        m.d.comb += [
            bank.write_enable.eq(landing.o.valid << beat.lane),
            bank.write_word.eq(beat.word),
            bank.write_data.eq(beat.bytes.as_value().replicate(lanes)),
            bank.read_enable.eq(self.read.enable),
            bank.read_word.eq(self.read.request),
            self.read.data.as_value().eq(bank.read_data),
        ]
        return m


class PairedMemory(Scratchpad):
    """Keys or values: a bank for each pair of neighbouring keys.

    Members
    -------
    write : In(WritePort(key_value_write))
    read : In(read)
    """

    def __init__(self, config: EngineConfig, read: ReadPort, keys: int, depth: int, tap: bool):
        self.keys = keys
        self.depth = depth
        layout = key_value_write(config, keys)
        ports = {"write": In(WritePort(layout)), "read": In(read)}
        super().__init__(config, ports, {"drain": layout}, tap)

    def banks(self, m: Module, platform: object, landing: Landing, word: Value) -> list[Bank]:
        """The banks, written by ``landing``, read at ``word``."""
        beat = landing.o.beat
        banks = []
        for pair in range(self.keys // 2):
            bank = Bank(self.depth, 2, numerics.KV_BITS * self.config.row_lanes)
            m.submodules[f"bank_{pair}"] = once(bank, platform)
            chosen = landing.o.valid & (beat.pair == pair)
            m.d.comb += [
                bank.write_enable.eq(Mux(chosen, beat.enable, 0)),
                bank.write_word.eq(beat.word),
                bank.write_data.eq(beat.codes),
                bank.read_enable.eq(self.read.enable),
                bank.read_word.eq(word),
            ]
            banks.append(bank)
        return banks


class KeyMemory(PairedMemory):
    """Keys: a word is a key's ``row_lanes`` rows, of which a granule is read. Shallow."""

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        super().__init__(config, key_read(config), config.row_lanes, config.key_words, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (landing,) = self.land(m, {"drain": self.write}, self.depth)
        guard = self.guard(m, self.read, self.depth * self.config.granules, Unit.MATMUL)
        self.report(m, landing, guard)
        word, granule = _split_granule(self.config, self.read.request)
        late = delayed(m, granule, READ_LATENCY, name="granule")
        for pair, bank in enumerate(self.banks(m, platform, landing, word)):
            keys = _granules(bank.read_data, self.config, numerics.KV_BITS, late)
            for i, key in enumerate(keys):
                m.d.comb += self.read.data[2 * pair + i].as_value().eq(key)
        return m


class ValueMemory(PairedMemory):
    """Values: a word is ``row_lanes`` rows of one key."""

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        super().__init__(config, value_read(config), config.depth_lanes, config.value_words, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (landing,) = self.land(m, {"drain": self.write}, self.depth)
        self.report(m, landing, self.guard(m, self.read, self.depth, Unit.MATMUL))
        banks = self.banks(m, platform, landing, self.read.request)
        words = Cat(bank.read_data for bank in banks)
        m.d.comb += self.read.data.as_value().eq(words)
        return m


class ScoreMemory(Scratchpad):
    """Raw scores: one memory of four lanes, of which one is read.

    Members
    -------
    write : In(WritePort(score_write))
    read : In(score_read)
    """

    LANES = 4

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        layout = score_write(config)
        ports = {"write": In(WritePort(layout)), "read": In(score_read(config))}
        super().__init__(config, ports, {"drain": layout}, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, bits = self.config.score_words, numerics.SCORE_BITS * self.config.row_lanes
        (landing,) = self.land(m, {"drain": self.write}, depth)
        m.submodules.guard = guard = ReadGuard(depth, Unit.SOFTMAX)
        self.report(m, landing, guard)
        m.submodules.bank = bank = Bank(depth, self.LANES, bits)
        request = self.read.request
        late = delayed(m, request.bank, READ_LATENCY, name="lane")
        lanes = [bank.read_data[lane * bits : (lane + 1) * bits] for lane in range(self.LANES)]
        m.d.comb += [
            guard.enable.eq(self.read.enable),
            guard.word.eq(request.word),
            bank.write_enable.eq(Mux(landing.o.valid, landing.o.beat.enable, 0)),
            bank.write_word.eq(landing.o.beat.word),
            bank.write_data.eq(landing.o.beat.scores),
            bank.read_enable.eq(self.read.enable),
            bank.read_word.eq(request.word),
            self.read.data.as_value().eq(choose(lanes, late)),
        ]
        return m


class PartMemory(Scratchpad):
    """Words that the load unit writes memory beat by memory beat.

    Members
    -------
    write : In(WritePort(part_write))
    read : In(read)
    """

    def __init__(self, config: EngineConfig, read: ReadPort, depth: int, unit: Unit, tap: bool):
        self.depth = depth
        self.unit = unit
        layout = part_write(config)
        ports = {"write": In(WritePort(layout)), "read": In(read)}
        super().__init__(config, ports, {"load": layout}, tap)

    def kept(self, beat: Value) -> Value:
        """Those bits of a beat that are stored."""
        return beat

    def restored(self, word: Value) -> Value:
        """The word that a reader sees, from the stored bits of its beats."""
        return word

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (landing,) = self.land(m, {"load": self.write}, self.depth)
        self.report(m, landing, self.guard(m, self.read, self.depth, self.unit))
        beat, kept = landing.o.beat, self.kept(landing.o.beat.beat)
        parts = max(1, len(self.read.data.as_value()) // (8 * self.config.memory_bytes))
        m.submodules.bank = bank = Bank(self.depth, parts, len(kept))
        m.d.comb += [
            bank.write_enable.eq(landing.o.valid << beat.part),
            bank.write_word.eq(beat.word),
            bank.write_data.eq(kept.replicate(parts)),
            bank.read_enable.eq(self.read.enable),
            bank.read_word.eq(self.read.request),
            self.read.data.as_value().eq(self.restored(bank.read_data)),
        ]
        return m


class WeightMemory(PartMemory):
    """The weight ring."""

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        super().__init__(config, weight_read(config), config.weight_words, Unit.MATMUL, tap)


class ParameterMemory(PartMemory):
    """Row parameters; a record's padding is not stored where a beat holds whole records."""

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        words = config.parameter_words
        super().__init__(config, parameter_read(config), words, Unit.MATMUL, tap)
        self.used = RowParameters.size - RowParameters["padding"].width
        self.whole = 8 * config.memory_bytes >= RowParameters.size

    def kept(self, beat: Value) -> Value:
        if not self.whole:
            return beat
        return Cat(beat[i : i + self.used] for i in range(0, len(beat), RowParameters.size))

    def restored(self, word: Value) -> Value:
        if not self.whole:
            return word
        padding = Const(0, RowParameters.size - self.used)
        records = range(0, len(word), self.used)
        return Cat(Cat(word[i : i + self.used], padding) for i in records)


class ExponentMemory(PartMemory):
    """Channel exponents of LayerNorm: the lowest bits of a beat, or of several."""

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        super().__init__(config, exponent_read(config), config.exponent_words, Unit.NORM, tap)

    def kept(self, beat: Value) -> Value:
        return beat[: numerics.NORM_EXPONENT_BITS * self.config.row_lanes]


# ---------------------------------------------------------------- shared reads


class ResidualMemory(Scratchpad):
    """The residual stream: a bank for each half (pair of tokens) of a group of four.

    Each half takes one read per cycle, the drain's before norm's before store's, and one write,
    the drain's before load's.

    Members
    -------
    drain_read, norm_read, store_read : In(residual_read)
        The drain's is never refused.
    drain : In(WritePort(residual_write))
    load : In(stream of residual_write)
    """

    HALVES = 2

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        layout = residual_write(config)
        read = In(residual_read(config))
        ports = {
            "drain_read": read,
            "norm_read": read,
            "store_read": read,
            "drain": In(WritePort(layout)),
            "load": In(stream.Signature(layout)),
        }
        super().__init__(config, ports, {"drain": layout, "load": layout}, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.config.residual_words
        drain, load = self.drain, self.load
        loaded = WritePort(load.p.shape()).create(path=("loaded",))
        m.d.comb += [
            load.ready.eq(~(drain.valid & (drain.beat.half == load.p.half))),
            loaded.valid.eq(load.valid & load.ready),
            loaded.beat.eq(load.p),
        ]
        landings = self.land(m, {"drain": drain, "load": wiring.flipped(loaded)}, depth)
        m.submodules.reads = reads = ResidualReads(self.config)
        link(m, wiring.flipped(self.drain_read), reads.drain)
        link(m, wiring.flipped(self.norm_read), reads.norm)
        link(m, wiring.flipped(self.store_read), reads.store)
        guards = self._guards(m, depth)
        self.report(m, *landings, *guards)
        for half in range(self.HALVES):
            bank = Bank(depth, 2, 8 * self.config.residual_word_bytes)
            m.submodules[f"half_{half}"] = once(bank, platform)
            m.d.comb += [
                bank.read_enable.eq(reads.enable[half]),
                bank.read_word.eq(reads.word[half]),
                reads.words[half].eq(bank.read_data),
            ]
            for landing in landings:
                beat = landing.o.beat
                with m.If(landing.o.valid & (beat.half == half)):
                    m.d.comb += [
                        bank.write_enable.eq(beat.enable),
                        bank.write_word.eq(beat.word),
                        bank.write_data.eq(beat.values),
                    ]
        return m

    def _guards(self, m: Module, depth: int) -> list[ReadGuard]:
        """Norm's and store's reads; what the drain reads, it also writes."""
        guards = []
        for read, unit in ((self.norm_read, Unit.NORM), (self.store_read, Unit.STORE)):
            guard = ReadGuard(depth, unit)
            m.submodules[f"{unit.name.lower()}_guard"] = guard
            m.d.comb += [
                guard.enable.eq(read.request.valid & read.request.ready),
                guard.word.eq(read.request.p.word),
            ]
            guards.append(guard)
        return guards


class ResidualReads(wiring.Component):
    """Gives each half of the residual to one reader per cycle, and each reader its half's data.

    Members
    -------
    drain, norm, store : In(residual_read)
    enable : Out(2)
        A bit per half.
    word : Out(address) x 2
    words : In(pair of words) x 2
        READ_LATENCY cycles after ``enable``.
    """

    def __init__(self, config: EngineConfig):
        read = residual_read(config)
        word = read.members["request"].signature.members["payload"].shape["word"].shape
        bits = 2 * 8 * config.residual_word_bytes
        super().__init__(
            {
                "drain": In(read),
                "norm": In(read),
                "store": In(read),
                "enable": Out(2),
                "word": Out(word).array(2),
                "words": In(bits).array(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        earlier = []
        for reader in (self.drain, self.norm, self.store):
            request = reader.request
            taken = Signal(name="taken")
            m.d.comb += taken.eq(Cat(r.valid & (r.p.half == request.p.half) for r in earlier).any())
            m.d.comb += request.ready.eq(~taken)
            for half in range(2):
                with m.If(request.valid & ~taken & (request.p.half == half)):
                    m.d.comb += [self.enable[half].eq(1), self.word[half].eq(request.p.word)]
            half = delayed(m, request.p.half, READ_LATENCY, name="half")
            m.d.comb += reader.data.as_value().eq(Mux(half, self.words[1], self.words[0]))
            earlier.append(request)
        return m
