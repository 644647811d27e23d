"""Activations: three writers, and an arbiter that settles who writes a pair of banks."""

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Unit
from rtl.lib.emit import once
from rtl.lib.pipeline import delayed
from rtl.lib.streams import connect
from rtl.memory.ports import READ_LATENCY, WritePort, activation_read, activation_write
from rtl.memory.scratchpads.bank import bank_of, granules_of, split_granule
from rtl.memory.scratchpads.scratchpad import Scratchpad


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
        connect(m, producer=wiring.flipped(self.drain), consumer=arbiter.drain)
        connect(m, producer=wiring.flipped(self.softmax), consumer=arbiter.softmax)
        connect(m, producer=wiring.flipped(self.norm), consumer=arbiter.norm)
        accepted = dict(zip(self._writers, arbiter.accepted, strict=True))
        writes = self.guard_writes(m, {n: wiring.flipped(w) for n, w in accepted.items()}, depth)
        guard = self.guard_reads(m, self.read, depth * config.granules, Unit.MATMUL)
        self.report(m, *writes, guard)

        word, granule = split_granule(config, self.read.request)
        late = delayed(m, granule, READ_LATENCY, name="granule")
        for pair in range(config.token_lanes // 2):
            port = PairPort(config, len(writes))
            parts, bits = 2 * config.granules, config.depth_lanes * config.act_bits
            bank = bank_of(config, "activations", depth, parts, bits)
            m.submodules[f"port_{pair}"] = once(port, platform)
            m.submodules[f"bank_{pair}"] = once(bank, platform)
            m.d.comb += [port.pair.eq(pair), bank.read_enable.eq(self.read.enable)]
            m.d.comb += [port.writes[i].valid.eq(x.o.valid) for i, x in enumerate(writes)]
            m.d.comb += [port.writes[i].beat.eq(x.o.beat) for i, x in enumerate(writes)]
            m.d.comb += [
                bank.write_enable.eq(port.enable),
                bank.write_word.eq(port.word),
                bank.write_data.eq(port.codes),
                bank.read_word.eq(word),
            ]
            lanes = granules_of(bank.read_data, config, config.act_bits, late)
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
            m.d.comb += accepted.valid.eq(writer.valid & writer.ready)
            m.d.comb += accepted.beat.eq(writer.p)
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
        Write port of the bank, whose parts are granules.
    """

    def __init__(self, config: EngineConfig, writers: int):
        lanes = (config.token_lanes, config.row_lanes, config.depth_lanes)
        self.parameters = (*lanes, config.act_bits, writers)
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
                    self.enable.eq(lanes),
                    self.word.eq(beat.word),
                    self.codes.eq(beat.codes),
                ]
        return m
