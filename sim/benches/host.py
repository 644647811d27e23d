"""The host's side of the registers, for cocotb benches: AXI4-Lite by hand.

A handshake costs a few Python steps; between accesses nothing runs in Python, so that a whole
network is simulated at Verilator's speed.
"""

from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from rtl.isa.registers import CONTROL_BITS, OFFSETS, REGISTERS, STATUS_BITS

PERIOD_NS = 10
REGISTER = {register.name: register for register in REGISTERS}


class Host:
    """Drives the testbench's AXI4-Lite port.

    Parameters
    ----------
    dut
        cocotb handle of sim/testbench.py's top module.
    """

    def __init__(self, dut: Any):
        self.dut = dut

    async def power_on(self, **settings: int) -> None:
        """Start the clock, set the memory's timing, and reset."""
        dut = self.dut
        dut.rst.value = 1
        for name in ("awaddr", "awprot", "awvalid", "wdata", "wstrb", "wvalid", "bready"):
            getattr(dut, f"s_axil_{name}").value = 0
        for name in ("araddr", "arprot", "arvalid", "rready"):
            getattr(dut, f"s_axil_{name}").value = 0
        for name, value in settings.items():
            getattr(dut, name).value = value
        Clock(dut.clk, PERIOD_NS, "ns", impl="gpi").start()
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 2)

    @property
    def cycle(self) -> int:
        """Clock edges since power-on, the same count that tap records carry."""
        return int(get_sim_time("ns")) // PERIOD_NS

    async def write(self, name: str, value: int) -> None:
        """Write a register, all its words."""
        for part in range(REGISTER[name].words):
            await self.write_word(OFFSETS[name] + 4 * part, value >> 32 * part & 0xFFFFFFFF)

    async def read(self, name: str) -> int:
        """Read a register, all its words."""
        words = [
            await self.read_word(OFFSETS[name] + 4 * part) for part in range(REGISTER[name].words)
        ]
        return sum(word << 32 * part for part, word in enumerate(words))

    async def command(self, *bits: str) -> None:
        """Write control bits by name: ``start``, ``reset``, ``irq_clear``."""
        await self.write("control", sum(1 << CONTROL_BITS.index(bit) for bit in bits))

    async def status(self) -> set[str]:
        """Names of the status bits that are set."""
        value = await self.read("status")
        return {name for i, name in enumerate(STATUS_BITS) if value >> i & 1}

    async def wait_for_interrupt(self, cycles: int) -> None:
        """Wait for ``irq``.

        Raises
        ------
        TimeoutError
            If it does not come within ``cycles``.
        """
        if int(self.dut.irq.value):
            return
        limit = Timer(cycles * PERIOD_NS, "ns")
        if await First(RisingEdge(self.dut.irq), limit) is limit:
            raise TimeoutError(f"no interrupt within {cycles} cycles")

    async def write_word(self, address: int, value: int) -> None:
        """Write 32 bits at a byte address."""
        dut = self.dut
        await RisingEdge(dut.clk)
        dut.s_axil_awaddr.value = address
        dut.s_axil_wdata.value = value
        dut.s_axil_wstrb.value = 0xF
        dut.s_axil_awvalid.value = 1
        dut.s_axil_wvalid.value = 1
        dut.s_axil_bready.value = 1
        await self._handshake("awvalid", "awready")
        dut.s_axil_awvalid.value = 0
        dut.s_axil_wvalid.value = 0
        await self._handshake("bvalid", "bready")
        assert int(dut.s_axil_bresp.value) == 0, f"write to 0x{address:03x} was refused"
        await FallingEdge(dut.clk)
        dut.s_axil_bready.value = 0

    async def read_word(self, address: int) -> int:
        """Read 32 bits at a byte address."""
        dut = self.dut
        await RisingEdge(dut.clk)
        dut.s_axil_araddr.value = address
        dut.s_axil_arvalid.value = 1
        dut.s_axil_rready.value = 1
        await self._handshake("arvalid", "arready")
        dut.s_axil_arvalid.value = 0
        await self._handshake("rvalid", "rready")
        value = int(dut.s_axil_rdata.value)
        assert int(dut.s_axil_rresp.value) == 0, f"read of 0x{address:03x} was refused"
        await FallingEdge(dut.clk)
        dut.s_axil_rready.value = 0
        return value

    async def _handshake(self, valid: str, ready: str) -> None:
        """Leave at the falling edge after the rising edge at which both are high.

        Signals change after rising edges; sampled at falling edges they are settled.
        """
        dut = self.dut
        await FallingEdge(dut.clk)
        while not (
            int(getattr(dut, f"s_axil_{valid}").value)
            and int(getattr(dut, f"s_axil_{ready}").value)
        ):
            await FallingEdge(dut.clk)
        if valid in ("awvalid", "arvalid"):
            await RisingEdge(dut.clk)
