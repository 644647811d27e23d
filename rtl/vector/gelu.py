"""GELU by table: 8-bit pre-activations become hidden codes."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.lib.emit import once
from rtl.memory.ports import KEY_VALUE, WritePort, array, gelu_write
from rtl.model import numerics

TABLES = 2
ENTRIES = 1 << numerics.KV_BITS


class GeluLookup(wiring.Component):
    """Both tables in one memory, with ``ports`` lookups a cycle.

    ``codes[p] = memory[addresses[p]]``; the second table lies above the first. Latency ``LATENCY``
    cycles, no flow control.

    Parameters
    ----------
    ports : int
    act_bits : int

    Members
    -------
    write_valid : In(1)
    write_address : In(unsigned(9))
    write_code : In(act_bits)
    addresses : In(ports x unsigned(9))
    codes : Out(ports x unsigned(act_bits))
    """

    LATENCY = 2  # block RAM with its output register

    def __init__(self, ports: int, act_bits: int):
        self.ports, self.act_bits = ports, act_bits
        self.parameters = (ports, act_bits)
        address = unsigned(numerics.KV_BITS + 1)
        super().__init__(
            {
                "write_valid": In(1),
                "write_address": In(address),
                "write_code": In(act_bits),
                "addresses": In(data.ArrayLayout(address, ports)),
                "codes": Out(data.ArrayLayout(unsigned(act_bits), ports)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=unsigned(self.act_bits), depth=TABLES * ENTRIES, init=[]
        )
        write = memory.write_port()
        m.d.comb += [
            write.en.eq(self.write_valid),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_code),
        ]
        for address, code in zip(self.addresses, self.codes, strict=True):
            read = memory.read_port()
            m.d.comb += read.addr.eq(address)
            m.d.sync += code.eq(read.data)
        return m


class Gelu(wiring.Component):
    """Look up the hidden code of ``lanes`` int8 pre-activations a cycle.

    ``o[lane] = tables[table][i[lane] + 128]``

    Latency ``LATENCY`` cycles, no flow control. Two lanes share a memory; all memories are written
    alike. A table may be written while the other one is in use.

    Parameters
    ----------
    config : EngineConfig
    lanes : int
        Lanes, an even number.

    Members
    -------
    i : In(lanes x signed(8))
    table : In(1)
    o : Out(lanes x unsigned(act_bits))
    write : In(WritePort(gelu_write(config)))

    Source: docs/numerics.md, section 6. Reference: sim.golden.ops.gelu.
    """

    LATENCY = GeluLookup.LATENCY
    SHARING = 2

    def __init__(self, config: EngineConfig, lanes: int):
        self.config, self.lanes = config, lanes
        super().__init__(
            {
                "i": In(array(lanes, KEY_VALUE)),
                "table": In(1),
                "o": Out(array(lanes, unsigned(config.act_bits))),
                "write": In(WritePort(gelu_write(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        entry = Signal.like(self.write.beat, reset_less=True)
        valid = Signal()
        m.d.sync += [entry.eq(self.write.beat), valid.eq(self.write.valid)]
        for first in range(0, self.lanes, self.SHARING):
            table = GeluLookup(self.SHARING, self.config.act_bits)
            m.submodules[f"table_{first}"] = once(table, platform)
            m.d.comb += [
                table.write_valid.eq(valid),
                table.write_address.eq(Cat(entry.index, entry.table)),
                table.write_code.eq(entry.code),
            ]
            for port in range(self.SHARING):
                code = self.i[first + port].as_unsigned()
                index = code ^ (ENTRIES // 2)  # + 128 modulo 256
                m.d.comb += [
                    table.addresses[port].eq(Cat(index[: numerics.KV_BITS], self.table)),
                    self.o[first + port].eq(table.codes[port]),
                ]
        return m
