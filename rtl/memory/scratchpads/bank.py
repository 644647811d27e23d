"""Banks of block RAM, LUTs or UltraRAM, which scratchpads consist of; granules of words."""

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from rtl.config import EngineConfig
from rtl.lib.devices import Primitives
from rtl.lib.emit import primitives
from rtl.lib.pipeline import COPY, choose, delayed
from rtl.memory.ports import READ_LATENCY
from rtl.memory.scratchpads.ultraram import WORDS, ultraram

LUT_WORDS = 64  # that one of UltraScale+'s memories of LUTs holds: RAM64M8


def block_depths(depth: int) -> list[int]:
    """One or two powers of two that hold ``depth`` words: ``[2048, 512]`` hold 2,560."""
    first = 1 << (depth.bit_length() - 1)
    if first == depth:
        return [depth]
    second = 1 << max(1, ceil_log2(depth - first))
    return [first, second] if second < first else [2 * first]


def ultra_depths(depth: int) -> list[int]:
    """Words of each row of UltraRAMs that holds a part of ``depth`` words."""
    return [min(WORDS, depth - first) for first in range(0, depth, WORDS)]


class Bank(wiring.Component):
    """A memory of ``depth`` words, each of ``parts`` with a write enable of their own.

    A read answers after ``READ_LATENCY`` cycles: memory, then its output register. Each block of
    :func:`block_depths` has a register of its own, which lies inside of a block RAM only if no
    logic is in front of it: so the blocks' words are chosen from behind them.

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
        depths = self.block_depths()
        above = ceil_log2(depths[0])  # address bits that tell the blocks apart
        outputs = []
        for index, depth in enumerate(depths):
            enable = Mux(self.write_word[above:] == index, self.write_enable, 0)
            outputs.append(self.block(m, index, depth, enable, platform))
        chosen = delayed(m, self.read_word[above:], READ_LATENCY, name="chosen")
        m.d.comb += self.read_data.eq(choose(outputs, chosen))
        return m

    def block_depths(self) -> list[int]:
        """Words of each memory that the bank consists of."""
        return block_depths(self.parameters[0])

    def block(self, m: Module, index: int, depth: int, enable: Value, platform: object) -> Value:
        """Add a memory, written where a bit per part is set; return its output register."""
        _, parts, part_bits = self.parameters
        block = memory.Memory(shape=unsigned(parts * part_bits), depth=depth, init=[])
        m.submodules[f"block_{index}"] = block
        write, read = block.write_port(granularity=part_bits), block.read_port()
        output = delayed(m, read.data, 1, name=f"output_{index}")
        m.d.comb += [
            write.en.eq(enable),
            write.addr.eq(self.write_word),
            write.data.eq(self.write_data),
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_word),
        ]
        return output


class UltraBank(Bank):
    """A bank of UltraRAM, where a device's primitives are asked for; else a memory like another.

    Its blocks have the depth of an UltraRAM, whatever part of that is used.
    """

    def block_depths(self) -> list[int]:
        return ultra_depths(self.parameters[0])

    def block(self, m: Module, index: int, depth: int, enable: Value, platform: object) -> Value:
        if primitives(platform) is not Primitives.ULTRASCALE:
            return super().block(m, index, depth, enable, platform)
        return ultraram(
            m,
            f"block_{index}",
            read_enable=self.read_enable,
            read_word=self.read_word,
            write_enable=enable,
            write_word=self.write_word,
            write_data=self.write_data,
        )


class LutBank(Bank):
    """A bank of LUTs, which answer at once: the first register is the address's, not the word's.

    Each bank has one, so that an address does not reach the LUTs of all banks in one cycle; and
    an address has fewer bits than a word.
    """

    def block(self, m: Module, index: int, depth: int, enable: Value, platform: object) -> Value:
        _, parts, part_bits = self.parameters
        block = memory.Memory(shape=unsigned(parts * part_bits), depth=depth, init=[])
        m.submodules[f"block_{index}"] = block
        write, read = block.write_port(granularity=part_bits), block.read_port(domain="comb")
        word = Signal.like(self.read_word, reset_less=True, attrs=COPY)
        m.d.sync += word.eq(Mux(self.read_enable, self.read_word, word))
        m.d.comb += [
            write.en.eq(enable),
            write.addr.eq(self.write_word),
            write.data.eq(self.write_data),
            read.addr.eq(word),
        ]
        return delayed(m, read.data, 1, name=f"output_{index}")


def bank_kind(config: EngineConfig, scratchpad: str, depth: int) -> type[Bank]:
    """Return the kind of a scratchpad's banks, of :data:`rtl.config.SCRATCHPADS`.

    Keys and values have many banks: where they are shallow they lie in LUTs, on UltraScale+ alone,
    whose DSPs say so; other devices' LUTs hold fewer words.
    """
    if scratchpad in config.uram:
        return UltraBank
    shallow = scratchpad in ("keys", "values") and depth <= LUT_WORDS
    return LutBank if shallow and config.multiplier == "dsp48e2" else Bank


def bank_of(config: EngineConfig, scratchpad: str, depth: int, parts: int, part_bits: int) -> Bank:
    """Make a bank of a scratchpad."""
    return bank_kind(config, scratchpad, depth)(depth, parts, part_bits)


def split_granule(config: EngineConfig, request: Value) -> tuple[Value, Value]:
    """Word and granule within the word of a granule address."""
    bits = exact_log2(config.granules)
    return request[bits:], request[:bits]


def granules_of(word: Value, config: EngineConfig, code_bits: int, granule: Value) -> list[Value]:
    """``granule`` of each of the words of ``row_lanes`` codes that ``word`` consists of."""
    bits = config.depth_lanes * code_bits
    words = len(word) // (config.granules * bits)
    parts = [word[i * bits : (i + 1) * bits] for i in range(words * config.granules)]
    return [
        choose(parts[i * config.granules : (i + 1) * config.granules], granule)
        for i in range(words)
    ]
