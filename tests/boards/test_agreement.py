"""Block design, device tree and driver agree on addresses, sizes, interrupt and widths of ports."""

import re

import pytest

from boards.host import layout, pynq, uio
from boards.host.registers import REGISTERS
from rtl.board import FOLDER, board_names, load_board
from rtl.build.block_design import PS_PORTS, block_design
from rtl.build.overlay import overlay
from rtl.config import engine
from rtl.isa.registers import LITE_ADDRESS_BITS

ZYNQ = [board for board in map(load_board, board_names()) if board.zynq]
FABRIC_BITS = {0: 128, 1: 64, 2: 32}  # AFIFMn_RDCTRL and _WRCTRL, bits 1:0
CONTROL_BITS = {0: 32, 1: 64, 2: 128}  # AFIFS, bits 9:8: M_AXI_HPM0_FPD


def settings(script: str) -> dict[str, str]:
    return dict(re.findall(r"^set (\w+) \{(.*)\}$", script, re.M))


def properties(script: str) -> dict[str, str]:
    return dict(re.findall(r"^    CONFIG\.(\w+) \{(.*)\}$", script, re.M))


def number(pattern: str, text: str) -> list[int]:
    found = re.search(pattern, text)
    assert found, pattern
    return [int(word, 0) for word in found.groups()]


@pytest.fixture(params=ZYNQ, ids=lambda board: board.name)
def texts(request):
    board = request.param
    script = block_design(board, engine(board.engine), "pulsar_x")
    return settings(script), properties(script), overlay(board, "pulsar_x")


def test_where_the_registers_are(texts):
    script, _, tree = texts
    address, size = number(rf"{uio.NAME}@\w+ \{{[^}}]*reg = <0x0 (\w+) 0x0 (\w+)>", tree)
    assert f"{uio.NAME}@{address:x} {{" in tree
    assert address == int(script["control_address"], 0) == pynq.REGISTERS_AT
    assert size == int(script["control_bytes"]) == pynq.REGISTERS_BYTES
    assert size >= 1 << LITE_ADDRESS_BITS
    assert max(offset for offset, *_ in REGISTERS.values()) < size


def test_the_interrupt(texts):
    """Shared interrupt 89 is bit 0 of pl_ps_irq0 (UG1085, table 35-6); the driver waits for it."""
    _, given, tree = texts
    assert number(r"interrupts = <(\d+) (\d+) (\d+)>", tree) == [0, 89, 4]
    assert given["PSU__USE__IRQ0"] == "1"
    assert uio.UioTransport.interrupts


def test_widths_on_both_sides(texts):
    script, given, tree = texts
    pairs = re.findall(r"<(\d+) (0x[\da-f]+)>", tree.partition("config-afi")[2])
    registers = {int(register): int(value, 16) for register, value in pairs}
    used = {PS_PORTS[port] for port in script["ports"].split()}
    for port in PS_PORTS.values():
        ways = [registers.get(2 * port + way) for way in (0, 1)]
        if port not in used:
            assert given[f"PSU__USE__S_AXI_GP{port}"] == "0"
            assert ways == [None, None]
            continue
        assert given[f"PSU__USE__S_AXI_GP{port}"] == "1"
        width = int(given[f"PSU__SAXIGP{port}__DATA_WIDTH"])
        assert [FABRIC_BITS[way] for way in ways if way is not None] == [width, width]
        assert int(script["port_bits"]) == width
    assert CONTROL_BITS[registers[14] >> 8 & 3] == int(given["PSU__MAXIGP0__DATA_WIDTH"])


def test_the_buffer_has_the_name_that_the_driver_prefers(texts):
    _, _, tree = texts
    assert f'device-name = "udmabuf-{uio.NAME}";' in tree


def test_the_block_has_the_name_that_the_driver_looks_for():
    script = (FOLDER / "templates" / "zynq.tcl").read_text()
    assert f"create_bd_cell -type module -reference ${{design}}_top {pynq.BLOCK}\n" in script


def test_the_buffer_is_pages_of_the_driver(texts):
    _, _, tree = texts
    (size,) = number(r'compatible = "ikwzm,u-dma-buf";[^}]*size = <(\w+)>', tree)
    assert size % layout.PAGE == 0


@pytest.mark.parametrize("board", ZYNQ, ids=lambda board: board.name)
def test_the_page_has_what_the_boards_file_has(board):
    zynq = board.require_zynq()
    page = (FOLDER.parent / "docs" / "zynq.md").read_text()
    (row,) = re.findall(rf"^\| `{board.name}` \| (.*) \|$", page, re.M)
    ports, clock, port_clock, trees = row.split(" | ")
    assert ports.startswith(f"{', '.join(zynq.ports)}, {zynq.port_bits} bits")
    assert clock == f"{board.clock_hz / 1e6:g} MHz"
    given = zynq.port_clock_hz
    assert port_clock == (f"{given / 1e6:g} MHz" if given else "the same")
    assert trees == ", ".join(f"`{tree}`" for tree in zynq.trees)
