# amaranth: UnusedElaboratable=no
"""The driver at the pins of a simulated board, which has a bridge, memory and a few registers."""

import random

import pytest

from boards.host.errors import DeviceError
from rtl.build.content import words_of
from rtl.build.verilog import emit_verilog
from rtl.soc.blocks import WORD_BYTES
from rtl.soc.ulx3s import CLOCK_HZ
from sim.netlist.build import LENIENT
from sim.netlist.cells import OWN
from sim.pins.line import open_pins
from sim.toolchain.builder import build
from tests.sim.netlist.design import (
    FACTORS,
    MEMORY_WORDS,
    PRODUCT,
    TABLE,
    TABLE_WORDS,
    SmallBoard,
)

MEMORY_BYTES = MEMORY_WORDS * WORD_BYTES


def exercise(transport, content):
    """Read what memory holds, write it, use every register; the memory is left as it was."""
    assert transport.memory_bytes == MEMORY_BYTES
    assert transport.difference(0, content) is None
    data = random.Random(5).randbytes(272)
    transport.put(256, data)
    assert transport.get(256, len(data)) == data
    transport.put(256, content[256 : 256 + len(data)])
    assert transport.difference(0, content) is None
    factors = 0x1_2345, -0x7FFF
    for offset, factor in zip(FACTORS, factors, strict=True):
        transport.write32(offset, factor & 0xFFFF_FFFF)
    low, high = (transport.read32(offset) for offset in PRODUCT)
    assert high << 32 | low == factors[0] * factors[1] & (1 << 36) - 1
    transport.show(0x95)
    assert transport.line.output("lights") == 0x95
    values = [random.Random(i).getrandbits(32) for i in range(TABLE_WORDS)]
    for index, value in enumerate(values):
        transport.write32(TABLE + 4 * index, value)
    assert [transport.read32(TABLE + 4 * index) for index in range(TABLE_WORDS)] == values


@pytest.mark.sim
def test_the_driver_at_the_pins(tmp_path):
    content = random.Random(1).randbytes(MEMORY_BYTES)
    words = words_of(content, MEMORY_WORDS)
    (tmp_path / "board.v").write_text(emit_verilog(SmallBoard(words), "board"))
    simulation = build([OWN, tmp_path / "board.v"], "board", arguments=LENIENT, optimize="-O1")
    transport = open_pins(simulation, CLOCK_HZ)
    line = transport.line
    opened = line.cycles
    assert opened < 3 * 2 * 16 * 10 * 434 + 5_000  # three requests and answers at the first rate
    exercise(transport, content)
    assert transport.link.repeats == 0
    assert line.output("wifi_gpio0") == 1
    before = line.now()
    line.pause(1e-4)
    assert line.now() - before == pytest.approx(1e-4)
    assert line.read(1e-5) == b""
    transport.close()
    transport.close()
    with pytest.raises(DeviceError, match=r"^the simulation was closed: open it again$"):
        line.write(b"x")
