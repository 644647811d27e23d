"""AMD's Zynq UltraScale+: an engine behind the names and attributes that its tools know."""

import re

from amaranth.hdl import ClockDomain, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, PureInterface, Signature

from rtl.config import EngineConfig
from rtl.isa.registers import ADDRESS_BITS, LITE_ADDRESS_BITS
from rtl.lib.pipeline import COPY
from rtl.memory.axi import BURST_BEATS, LITE_BYTES, Axi4, Axi4Lite
from rtl.memory.reader import Reader
from rtl.memory.writer import Writer

CONTROL, MEMORY = "s_axi_control", "m_axi_memory"
CONSTANT = {"arid", "rid", "arlock", "awid", "bid", "awlock"}
"""Signals that the ports to memory go without: the engine has one ID, 0, and locks nothing."""


def is_zynq(device: str) -> bool:
    """Tell whether a part, by its name in any case, is a Zynq UltraScale+ or on a Kria module."""
    return re.match(r"x[acq](zu|k2\d)", device.lower()) is not None


class ZynqTop(wiring.Component):
    """An engine as a module for AMD's block designs. The engine's Verilog is a file of its own.

    Parameters
    ----------
    config : EngineConfig
    module : str
        Name of the engine's module.

    Members
    -------
    aclk : In(1)
    aresetn : In(1)
        Low in reset, for two cycles at least; changes in time with the clock.
    s_axi_control_* : the signals of In(Axi4Lite)
    m_axi_memory_* : the signals of Out(Axi4), but for ``CONSTANT``
    interrupt : Out(1)
        High until the host clears it.

    Source: UG994, "HDL Parameters for Interface Inference".
    """

    def __init__(self, config: EngineConfig, module: str):
        self.config, self.module = config, module
        self._memory = Axi4(config.memory_bytes)
        members = {"aclk": In(1), "aresetn": In(1), "interrupt": Out(1)}
        members |= _plain(CONTROL, Axi4Lite().flip()) | _plain(MEMORY, self._memory)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = clock = ClockDomain(reset_less=True)
        reset = Signal(init=1, attrs=COPY)
        m.d.comb += clock.clk.eq(self.aclk)
        m.d.sync += reset.eq(~self.aresetn)
        control = Axi4Lite().create(path=("control",))
        memory = self._memory.create(path=("memory",))
        m.submodules.engine = Instance(
            self.module,
            i_clk=self.aclk,
            i_rst=reset,
            o_irq=self.interrupt,
            **_pins("control", control.signature.flip(), control),
            **_pins("memory", memory.signature, memory),
        )
        self._connect(m, CONTROL, control.signature.flip(), control)
        self._connect(m, MEMORY, memory.signature, memory)
        return m

    def _connect(self, m: Module, bus: str, signature: Signature, inside: PureInterface) -> None:
        """Wire a bus of the top, whose directions ``signature`` has, to what lies behind it."""
        for name, member in signature.members.items():
            signal = getattr(inside, name)
            if name in CONSTANT:
                m.d.comb += [] if member.flow is Out else signal.eq(0)
                continue
            port = getattr(self, f"{bus}_{name}")
            m.d.comb += port.eq(signal) if member.flow is Out else signal.eq(port)

    def attributes(self) -> dict[str, dict[str, str]]:
        """Return Vivado's attributes of each port: to which bus it belongs, and as what.

        Source: UG994, "List of Supported X_ Attributes"; the parameters are those of the buses
        xilinx.com:interface:aximm:1.0 and xilinx.com:signal:clock, reset and interrupt:1.0.
        """
        buses = [CONTROL, MEMORY]
        ports = {
            "aclk": _signal("clock", "aclk", "CLK")
            | _parameters("aclk", ASSOCIATED_BUSIF=":".join(buses), ASSOCIATED_RESET="aresetn"),
            "aresetn": _signal("reset", "aresetn", "RST")
            | _parameters("aresetn", POLARITY="ACTIVE_LOW"),
            "interrupt": _signal("interrupt", "interrupt", "INTERRUPT")
            | _parameters("interrupt", SENSITIVITY="LEVEL_HIGH"),
        }
        for bus in buses:
            names = [name for name in self.signature.members if name.startswith(f"{bus}_")]
            for name in names:
                logical = name.removeprefix(f"{bus}_").upper()
                ports[name] = {"X_INTERFACE_INFO": f"{_VENDOR}:interface:aximm:1.0 {bus} {logical}"}
            ports[names[0]] |= _parameters(bus, **self._sizes(bus))
        return ports

    def _sizes(self, bus: str) -> dict[str, str | int]:
        """Return what Vivado is told of a bus: widths, and how many bursts may be under way."""
        if bus == CONTROL:
            return {
                "PROTOCOL": "AXI4LITE",
                "ADDR_WIDTH": LITE_ADDRESS_BITS,
                "DATA_WIDTH": 8 * LITE_BYTES,
            }
        return {
            "PROTOCOL": "AXI4",
            "ADDR_WIDTH": ADDRESS_BITS,
            "DATA_WIDTH": 8 * self.config.memory_bytes,
            "ID_WIDTH": 0,
            "READ_WRITE_MODE": "READ_WRITE",
            "SUPPORTS_NARROW_BURST": 0,
            "MAX_BURST_LENGTH": BURST_BEATS,
            "NUM_READ_OUTSTANDING": Reader.OUTSTANDING,
            "NUM_WRITE_OUTSTANDING": Writer.OUTSTANDING,
        }


_VENDOR = "xilinx.com"


def _plain(bus: str, signature: Signature) -> dict[str, wiring.Member]:
    """Name the signals of a bus one by one."""
    members = signature.members.items()
    return {f"{bus}_{name}": member for name, member in members if name not in CONSTANT}


def _pins(bus: str, signature: Signature, inside: PureInterface) -> dict[str, Signal]:
    """Name the pins of the engine's module for a bus."""
    return {
        f"{'o' if member.flow is Out else 'i'}_{bus}__{name}": getattr(inside, name)
        for name, member in signature.members.items()
    }


def _signal(kind: str, name: str, logical: str) -> dict[str, str]:
    return {"X_INTERFACE_INFO": f"{_VENDOR}:signal:{kind}:1.0 {name} {logical}"}


def _parameters(name: str, **values: str | int) -> dict[str, str]:
    pairs = [f"XIL_INTERFACENAME {name}", *(f"{key} {value}" for key, value in values.items())]
    return {"X_INTERFACE_PARAMETER": ", ".join(pairs)}
