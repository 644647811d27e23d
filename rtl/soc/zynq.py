"""AMD's Zynq UltraScale+: an engine behind the names and attributes that its tools know."""

from amaranth.hdl import ClockDomain, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, PureInterface, Signature

from rtl.config import EngineConfig
from rtl.isa.registers import ADDRESS_BITS, LITE_ADDRESS_BITS
from rtl.lib.pipeline import COPY
from rtl.lib.reset import ResetTree
from rtl.lib.streams import connect
from rtl.memory.axi import BURST_BEATS, LITE_BYTES, Axi4, Axi4Lite, Axi4Read
from rtl.memory.reader import Reader
from rtl.memory.writer import Writer
from rtl.soc.interleaver import ROOM_BYTES, Interleaver
from rtl.soc.pieces import MemoryPorts

CONTROL, MEMORY = "s_axi_control", "m_axi_memory"
CONSTANT = {"arid", "rid", "arlock", "awid", "bid", "awlock"}
"""Signals that the ports to memory go without: the engine has one ID, 0, and locks nothing."""


class ZynqTop(wiring.Component):
    """An engine as a module for AMD's block designs. The engine's Verilog is a file of its own.

    ::

        s_axi_control ── engine ── interleaver ─┬─ m_axi_memory_0
                                                └─ m_axi_memory_1 …

    Parameters
    ----------
    config : EngineConfig
    module : str
        Name of the engine's module.
    ports : MemoryPorts, optional
        Ports to memory, with an interleaver in front of them; by default the engine's own port.

    Members
    -------
    aclk : In(1)
    aresetn : In(1)
        Low in reset, for four cycles at least; changes in time with the clock.
    s_axi_control_* : the signals of In(Axi4Lite)
    m_axi_memory_* : the signals of Out(Axi4), but for ``CONSTANT``
        Of several ports ``m_axi_memory_0_*`` and so on; from the second one on of Out(Axi4Read).
    interrupt : Out(1)
        High until the host clears it.

    Source: UG994, "HDL Parameters for Interface Inference".
    """

    def __init__(self, config: EngineConfig, module: str, ports: MemoryPorts | None = None):
        self.config, self.module, self.ports = config, module, ports
        self.memories = memory_buses(ports)
        size = ports.bytes if ports else config.memory_bytes
        kinds = [Axi4(size), *[Axi4Read(size)] * (len(self.memories) - 1)]
        self._buses = {CONTROL: Axi4Lite().flip()} | dict(zip(self.memories, kinds, strict=True))
        members = {"aclk": In(1), "aresetn": In(1), "interrupt": Out(1)}
        for bus, signature in self._buses.items():
            members |= _plain(bus, signature)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = clock = ClockDomain(reset_less=True)
        reset = Signal(init=1, attrs=COPY)
        m.d.comb += clock.clk.eq(self.aclk)
        m.d.sync += reset.eq(~self.aresetn)
        control = Axi4Lite().create(path=("control",))
        memory = Axi4(self.config.memory_bytes).create(path=("memory",))
        m.submodules.engine = Instance(
            self.module,
            i_clk=self.aclk,
            i_rst=reset,
            o_irq=self.interrupt,
            **_pins("control", control.signature.flip(), control),
            **_pins("memory", memory.signature, memory),
        )
        inside = [memory]
        if self.ports:
            interleaver = Interleaver(self.config.memory_bytes, self.ports)
            tree = ResetTree(m, reset, platform)
            m.submodules.interleaver = tree.part("interleaver", interleaver, interleaver.large)
            connect(m, producer=memory, consumer=interleaver.engine)
            inside = [interleaver.first, *interleaver.others]
        for bus, part in zip(self._buses, [control, *inside], strict=True):
            self._connect(m, bus, part)
        return m

    def _connect(self, m: Module, bus: str, inside: PureInterface) -> None:
        """Wire a bus of the top to what lies behind it."""
        for name, member in self._buses[bus].members.items():
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
        buses = list(self._buses)
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
        size, burst, reads = self.config.memory_bytes, BURST_BEATS, Reader.OUTSTANDING
        if self.ports:
            piece = self.ports.piece_bytes
            size, burst, reads = self.ports.bytes, piece // self.ports.bytes, ROOM_BYTES // piece
        is_first = bus == self.memories[0]
        sizes = {
            "PROTOCOL": "AXI4",
            "ADDR_WIDTH": ADDRESS_BITS,
            "DATA_WIDTH": 8 * size,
            "ID_WIDTH": 0,
            "READ_WRITE_MODE": "READ_WRITE" if is_first else "READ_ONLY",
            "SUPPORTS_NARROW_BURST": 0,
            "MAX_BURST_LENGTH": burst,
            "NUM_READ_OUTSTANDING": reads,
        }
        return sizes | ({"NUM_WRITE_OUTSTANDING": Writer.OUTSTANDING} if is_first else {})


def memory_buses(ports: MemoryPorts | None) -> list[str]:
    """Return the names of the top's buses to memory; the first one writes as well."""
    if ports is None or ports.count == 1:
        return [MEMORY]
    return [f"{MEMORY}_{index}" for index in range(ports.count)]


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
