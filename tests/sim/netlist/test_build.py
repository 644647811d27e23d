# amaranth: UnusedElaboratable=no
"""A board placed and routed, and its netlist simulated at the pins: nox -s silicon."""

import random

import pytest

from boards.host.errors import DeviceError
from rtl.build import content
from rtl.build.route import flat_netlist, place_and_route
from rtl.errors import ToolError
from rtl.lib.devices import Primitives
from rtl.lib.emit import emit_rtlil
from rtl.soc.blocks import WORD_BITS
from rtl.soc.ulx3s import CLOCK_HZ, constraints
from sim.netlist.build import build_netlist
from sim.netlist.content import replace_content
from sim.netlist.routed import RoutedNetlist
from sim.pins.line import open_pins
from tests.sim.netlist.design import MEMORY_WORDS, SmallBoard
from tests.sim.pins.test_line import MEMORY_BYTES, exercise

pytestmark = pytest.mark.silicon
CONTENT = random.Random(6).randbytes(MEMORY_BYTES)
OLD, NEW = content.placeholder(MEMORY_WORDS), content.words_of(CONTENT, MEMORY_WORDS)


@pytest.fixture(scope="module")
def routed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    flat_netlist(emit_rtlil(SmallBoard(OLD), "board", Primitives.ECP5), "board", folder)
    place_and_route(folder, "LFE5U-85F-6BG381C", constraints(), CLOCK_HZ, seed=1)
    return folder


def opened(netlist, folder):
    return open_pins(build_netlist(netlist, folder), CLOCK_HZ)


def test_the_routed_netlist_does_what_the_rtl_does(routed, tmp_path):
    netlist = RoutedNetlist(routed / "routed.json")
    assert replace_content(netlist, OLD, NEW) == MEMORY_WORDS // 512 * WORD_BITS
    kinds = {cell["type"] for cell in netlist.cells.values()}
    assert kinds == {"TRELLIS_COMB", "TRELLIS_FF", "TRELLIS_RAMW", "DP16KD", "MULT18X18D",
                     "EHXPLLL", "DCCA", "TRELLIS_IO"}  # fmt: skip
    transport = opened(netlist, tmp_path)
    exercise(transport, CONTENT)
    assert transport.line.output("wifi_gpio0") == 1
    transport.close()


def test_one_flipped_bit_of_a_look_up_table_is_noticed(routed, tmp_path):
    netlist = RoutedNetlist(routed / "routed.json")
    replace_content(netlist, OLD, NEW)
    netlist.flip("$PACKER_VCC", 15)  # the source of all ones, such as a multiplier's signs
    with pytest.raises((AssertionError, DeviceError)):  # a wrong answer, or none
        exercise(opened(netlist, tmp_path), CONTENT)


def test_the_bitstream_s_content_is_the_netlist_s(routed):
    content.exchange(routed, NEW, "other.bit")
    assert (routed / "other.bit").stat().st_size > 100_000
    netlist = RoutedNetlist(routed / "routed.json")
    replace_content(netlist, OLD, NEW)
    wanted = set()
    for cell in netlist.cells.values():
        if cell["type"] == "DP16KD":
            bits = "".join(cell["parameters"][f"INITVAL_{i:02X}"] for i in reversed(range(64)))
            rows = [
                int(bits[len(bits) - 20 * (i + 1) : len(bits) - 20 * i], 2) for i in range(1024)
            ]
            wanted.add(tuple(row >> 9 * half & 0x1FF for row in rows for half in range(2)))
    found = {
        tuple(int(word, 16) for word in block["values"].split())
        for block in content.BLOCK.finditer((routed / "content.config").read_text())
    }
    assert found == wanted


def test_a_folder_without_the_placeholder_is_refused(routed, tmp_path):
    for file in ("content.config", "design.config"):
        text = (routed / "content.config").read_text()
        (tmp_path / file).write_text(text)
    with pytest.raises(
        ToolError, match=r"holds 0 of [\d,]+ columns of the memory: it was not routed"
    ):
        content.exchange(tmp_path, NEW, "other.bit")
