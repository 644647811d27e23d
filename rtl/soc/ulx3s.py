"""Radiona's ULX3S: its pins, its clock, and the top module of its bitstream."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import ClockDomain, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from boards.host.frames import LIGHTS_BITS
from rtl.config import EngineConfig
from rtl.soc.system import SerialSystem

OSCILLATOR_HZ = 25_000_000
CLOCK_HZ = 50_000_000
MEMORY_WORDS = 18 * 1024  # of 8 bytes: 147,456 bytes
BLOCK_RAMS = MEMORY_WORDS // 256 + 2  # around the engine: memory; payload and queue


@dataclass(frozen=True)
class Pin:
    """A pin of the package, and the electrical standard of its bank."""

    port: str
    site: str
    standard: str = "LVCMOS33"


PINS = (
    Pin("oscillator", "G2"),
    Pin("rx", "M1"),  # from the FTDI chip
    Pin("tx", "L4"),
    Pin("wifi_gpio0", "L2"),
    *(Pin(f"lights[{bit}]", site) for bit, site in enumerate("B2 C2 C1 D2 D1 E2 E1 H3".split())),
)
"""The board's pins, by the top's port; the lights from D0, beside the edge, to D7."""


def constraints(clock_hz: int = CLOCK_HZ) -> str:
    """Return the pins and the oscillator's frequency as an .lpf file for nextpnr-ecp5.

    Parameters
    ----------
    clock_hz : int
        The engine's clock that the tools are to aim at: they see an oscillator that gives it.
    """
    oscillator_hz = clock_hz * OSCILLATOR_HZ / CLOCK_HZ
    lines = [f'LOCATE COMP "{pin.port}" SITE "{pin.site}";' for pin in PINS]
    lines += [f'IOBUF PORT "{pin.port}" IO_TYPE={pin.standard};' for pin in PINS]
    lines += [f'FREQUENCY PORT "oscillator" {oscillator_hz / 1e6:g} MHZ;']
    return "\n".join(lines) + "\n"


class PhaseLockedLoop(wiring.Component):
    """The ECP5's EHXPLLL: the oscillator's frequency doubled, in phase with it.

    The oscillator in the loop runs at 600 MHz, in the middle of what it can do (400 to 800).

    Members
    -------
    i, o : In(1), Out(1)
        Clocks.
    locked : Out(1)

    Source: what ecppll gives for 25 MHz in and 50 MHz out.
    """

    DIVIDER = 12

    i: In(1)
    o: Out(1)
    locked: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.loop = Instance(
            "EHXPLLL",
            p_CLKI_DIV=1,
            p_CLKFB_DIV=CLOCK_HZ // OSCILLATOR_HZ,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=self.DIVIDER,
            p_CLKOP_CPHASE=self.DIVIDER // 2 - 1,
            p_CLKOP_FPHASE=0,
            p_FEEDBK_PATH="CLKOP",
            a_FREQUENCY_PIN_CLKI=f"{OSCILLATOR_HZ / 1e6:g}",
            a_FREQUENCY_PIN_CLKOP=f"{CLOCK_HZ / 1e6:g}",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            i_CLKI=self.i,
            i_CLKFB=self.o,
            i_RST=0,
            i_STDBY=0,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=1,
            i_PHASESTEP=1,
            i_PHASELOADREG=1,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
            o_CLKOP=self.o,
            o_LOCK=self.locked,
        )
        return m


class Ulx3s(wiring.Component):
    """The ULX3S with the largest ECP5: everything between its pins.

    Parameters
    ----------
    config : EngineConfig
    init : sequence of int
        Words of the memory when the device is configured.

    Members
    -------
    oscillator : In(1)
        25 MHz.
    rx : In(1)
    tx : Out(1)
    wifi_gpio0 : Out(1)
        1, or else the ESP32 beside the FPGA takes the board over.
    lights : Out(8)
        LEDs D0 to D7: class of the last image in binary, and D7 for an error.
    """

    oscillator: In(1)
    rx: In(1)
    tx: Out(1)
    wifi_gpio0: Out(1)
    lights: Out(LIGHTS_BITS)

    def __init__(self, config: EngineConfig, init: Sequence[int] = ()):
        self.config, self.content = config, init
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = clock = ClockDomain()
        m.submodules.pll = pll = PhaseLockedLoop()
        m.submodules.reset = ResetSynchronizer(~pll.locked)
        m.submodules.system = system = SerialSystem(
            self.config, CLOCK_HZ, MEMORY_WORDS, self.content
        )
        m.d.comb += [
            pll.i.eq(self.oscillator),
            clock.clk.eq(pll.o),
            system.rx.eq(self.rx),
            self.tx.eq(system.tx),
            self.wifi_gpio0.eq(1),
            self.lights.eq(system.lights),
        ]
        return m
