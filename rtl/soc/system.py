"""An engine, its memory on the chip and a serial bridge: all of a board but clock and pins."""

from collections.abc import Sequence

from amaranth.hdl import Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.host.frames import LIGHTS_BITS
from rtl.config import EngineConfig
from rtl.engine import Engine
from rtl.errors import UserError
from rtl.lib.reset import ResetTree
from rtl.lib.streams import connect
from rtl.soc.blocks import WORD_BYTES
from rtl.soc.bridge import SerialBridge
from rtl.soc.memory import BlockMemory


class SerialSystem(wiring.Component):
    """An engine that is reached over two wires.

    ::

        rx, tx ── bridge ── registers ── engine ── memory
                    └──────── second port ───────────┘

    Parameters
    ----------
    config : EngineConfig
    clock_hz : int
    memory_words : int
        Words of 16 bytes, a multiple of 1,024.
    init : sequence of int
        Words of the memory at the start.

    Members
    -------
    rx : In(1)
    tx : Out(1)
    lights : Out(8)
        Class of the last image and error, as the host says.

    Raises
    ------
    UserError
        If the engine's memory port is wider than a word of the memory.
    """

    def __init__(
        self, config: EngineConfig, clock_hz: int, memory_words: int, init: Sequence[int] = ()
    ):
        if config.memory_bytes > WORD_BYTES:
            raise UserError(
                f"engine '{config.name}': memory_bytes must be at most {WORD_BYTES} where the"
                f" memory is on the chip, not {config.memory_bytes}"
            )
        self.config, self.clock_hz = config, clock_hz
        self.memory_words, self.init = memory_words, init
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "lights": Out(LIGHTS_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bridge = SerialBridge(self.clock_hz, self.memory_words)
        memory = BlockMemory(self.memory_words, self.init, self.config.memory_bytes)
        tree = ResetTree(m, ResetSignal(), platform)  # the engine has one of its own
        m.submodules.bridge = tree.part("bridge", bridge)
        m.submodules.memory = tree.part("memory", memory)
        m.submodules.engine = engine = Engine(self.config)
        connect(m, producer=bridge.registers, consumer=engine.control)
        connect(m, producer=engine.memory, consumer=memory.bus)
        connect(m, producer=bridge.memory, consumer=memory.port)
        m.d.comb += [
            bridge.rx.eq(self.rx),
            self.tx.eq(bridge.tx),
            self.lights.eq(bridge.lights),
        ]
        return m
