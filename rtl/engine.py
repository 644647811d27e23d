"""The engine: control, units, scratchpads and memory port. Wiring only."""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.control.unit import NAMES, ControlUnit
from rtl.isa.layouts import NUMBER_BITS
from rtl.isa.unit_port import connect_unit
from rtl.lib.reset import ResetTree
from rtl.lib.streams import connect
from rtl.matmul.unit import MatmulUnit
from rtl.memory.axi import NORMAL, Axi4, Axi4Lite, AxiAttributes
from rtl.memory.dma import Dma
from rtl.memory.load.unit import LoadUnit
from rtl.memory.ports import gelu_write
from rtl.memory.scratchpads.activations import ActivationMemory
from rtl.memory.scratchpads.attention import KeyMemory, ScoreMemory, ValueMemory
from rtl.memory.scratchpads.loaded import ExponentMemory, ParameterMemory, PixelMemory, WeightMemory
from rtl.memory.scratchpads.residual import ResidualMemory
from rtl.memory.scratchpads.scratchpad import TapSignature
from rtl.memory.scratchpads.selection import ImportanceMemory, PlaceMemory
from rtl.memory.store import StoreUnit
from rtl.vector.layernorm import NormUnit
from rtl.vector.softmax import SoftmaxUnit

MEMORIES = {
    "activations": ActivationMemory,
    "pixels": PixelMemory,
    "keys": KeyMemory,
    "values": ValueMemory,
    "scores": ScoreMemory,
    "residual": ResidualMemory,
    "weights": WeightMemory,
    "parameters": ParameterMemory,
    "exponents": ExponentMemory,
}
SELECTING_MEMORIES = {"importance": ImportanceMemory, "places": PlaceMemory}
"""Memories of engines that select tokens."""
LARGE = {"load": ("check",), "matmul": ("feed", "drain"), "norm": ("issue",)}
"""Parts of units that get a copy of the reset of their own."""
EVENT = data.StructLayout({"number": NUMBER_BITS})
STALLS = {  # what each unit reports, bit by bit; docs/registers.md: stall_0, stall_1
    "load": ("stall",),
    "matmul": ("stall_drain",),
    "norm": ("stall_read", "stall_write"),
    "softmax": ("stall_write",),
    "store": ("stall",),
}


class Engine(wiring.Component):
    """A vision transformer accelerator: uint8 pixels in memory to int32 logits in memory.

    ::

        host ─► control ─► load, matmul, norm, softmax, store      (instructions, completions)
                  │          │      │      │      │       │
        memory ◄─► dma ◄─────┘   scratchpads: activations, pixels, keys, values, scores,
                    ▲            residual, weights, parameters, exponents │
                    └─────────────────────────────────────────────────────┘

    Parameters
    ----------
    config : EngineConfig
    tap : bool
        Show every write to every scratchpad, for simulation.
    attributes : AxiAttributes
        AxCACHE and AxPROT of the memory port.

    Members
    -------
    control : In(Axi4Lite)
        Registers: docs/registers.md.
    memory : Out(Axi4)
    irq : Out(1)
    tap_<scratchpad> : Out
        Only with ``tap``: a ``valid`` and the ``beat`` that lands, by writer.
    tap_taken_<unit>, tap_done_<unit> : Out
        With ``tap``: the number of the instruction that the unit takes, or completes.

    Source: docs/design/0001-engine.md.
    """

    def __init__(
        self, config: EngineConfig, *, tap: bool = False, attributes: AxiAttributes = NORMAL
    ):
        self.config = config
        self.tap = tap
        self.attributes = attributes
        kinds = MEMORIES | (SELECTING_MEMORIES if config.select_tokens else {})
        self._memories = {name: kind(config, tap=tap) for name, kind in kinds.items()}
        taps = {}
        if tap:
            taps = {
                f"tap_{name}": Out(memory.signature.members["tap"].signature)
                for name, memory in self._memories.items()
            }
            taps["tap_gelu"] = Out(TapSignature(gelu_write(config)))
            taps |= {
                f"tap_{event}_{name}": Out(TapSignature(EVENT))
                for event in ("taken", "done")
                for name in NAMES
            }
        super().__init__(
            {
                "control": In(Axi4Lite()),
                "memory": Out(Axi4(config.memory_bytes)),
                "irq": Out(1),
            }
            | taps
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memories, config = self._memories, self.config
        units = {
            "load": LoadUnit(config),
            "matmul": MatmulUnit(config),
            "norm": NormUnit(config),
            "softmax": SoftmaxUnit(config),
            "store": StoreUnit(config),
        }
        faults = [part.fault for part in (*memories.values(), units["load"], units["store"])]
        m.submodules.control = control = ControlUnit(config, faults=len(faults))
        m.submodules.dma = dma = Dma(config, self.attributes)
        tree = ResetTree(m, control.reset, platform)
        m.d.sync += dma.reset.eq(control.reset)
        for name, part in (units | memories).items():
            m.submodules[name] = tree.part(name, part, LARGE.get(name, ()))

        connect(m, producer=wiring.flipped(self.control), consumer=control.host)
        connect(m, producer=dma.memory, consumer=wiring.flipped(self.memory))
        m.d.comb += [
            self.irq.eq(control.irq),
            control.moved.eq(dma.moved),
            control.quiet.eq(dma.quiet),
            dma.clear.eq(control.clear),
        ]
        m.d.comb += [sink.eq(source) for sink, source in zip(control.faults, faults, strict=True)]
        self._connect_instructions(m, control, units)
        self._connect_memory(m, control, dma, units)
        self._connect_reads(m, units, memories)
        self._connect_writes(m, units, memories)
        if config.select_tokens:
            self._connect_selection(m, units, memories)
        if self.tap:
            self._connect_taps(m, units, memories)
        return m

    def _connect_instructions(self, m: Module, control: ControlUnit, units: dict) -> None:
        """Instructions out, completions and activity back."""
        for name in NAMES:
            unit = units[name]
            connect_unit(m, getattr(control, name), unit)
            stalls = Cat(getattr(unit, stall) for stall in STALLS[name])
            m.d.comb += getattr(control, f"stall_{name}").eq(stalls)

    def _connect_memory(self, m: Module, control: ControlUnit, dma: Dma, units: dict) -> None:
        """Program, loads and stores share the memory port."""
        connect(m, producer=control.program, consumer=dma.program)
        connect(m, producer=units["load"].reader, consumer=dma.load)
        connect(m, producer=units["store"].writer, consumer=dma.store)
        m.d.comb += [units[name].regions.eq(control.regions) for name in ("load", "store")]

    def _connect_reads(self, m: Module, units: dict, memories: dict) -> None:
        matmul, norm, softmax = units["matmul"], units["norm"], units["softmax"]
        for name in ("activations", "pixels", "weights", "keys", "values", "parameters"):
            connect(m, producer=getattr(matmul, name), consumer=memories[name].read)
        connect(m, producer=norm.exponents, consumer=memories["exponents"].read)
        connect(m, producer=softmax.scores, consumer=memories["scores"].read)
        connect(m, producer=matmul.residual, consumer=memories["residual"].drain_read)
        connect(m, producer=norm.residual, consumer=memories["residual"].norm_read)
        connect(m, producer=units["store"].residual, consumer=memories["residual"].store_read)
        m.d.comb += [softmax.maxima.eq(matmul.maxima), matmul.scales.eq(softmax.scales)]

    def _connect_writes(self, m: Module, units: dict, memories: dict) -> None:
        load, matmul = units["load"], units["matmul"]
        for name in ("pixels", "weights", "parameters", "exponents"):
            connect(m, producer=getattr(load, name), consumer=memories[name].write)
        connect(m, producer=load.gelu, consumer=matmul.gelu_write)
        connect(m, producer=load.residual, consumer=memories["residual"].load)
        connect(m, producer=matmul.activation_write, consumer=memories["activations"].drain)
        connect(m, producer=units["softmax"].activations, consumer=memories["activations"].softmax)
        connect(m, producer=units["norm"].activations, consumer=memories["activations"].norm)
        connect(m, producer=matmul.key_write, consumer=memories["keys"].write)
        connect(m, producer=matmul.value_write, consumer=memories["values"].write)
        connect(m, producer=matmul.score_write, consumer=memories["scores"].write)
        connect(m, producer=matmul.residual_write, consumer=memories["residual"].drain)

    def _connect_selection(self, m: Module, units: dict, memories: dict) -> None:
        matmul, softmax = units["matmul"], units["softmax"]
        connect(m, producer=softmax.importance_read, consumer=memories["importance"].read)
        connect(m, producer=softmax.importance_write, consumer=memories["importance"].write)
        connect(m, producer=softmax.place_write, consumer=memories["places"].write)
        connect(m, producer=matmul.places, consumer=memories["places"].read)
        m.d.comb += matmul.selecting.eq(softmax.selecting)

    def _connect_taps(self, m: Module, units: dict, memories: dict) -> None:
        for name, memory in memories.items():
            connect(m, producer=memory.tap, consumer=wiring.flipped(getattr(self, f"tap_{name}")))
        m.d.comb += [
            self.tap_gelu.valid.eq(units["load"].gelu.valid),
            self.tap_gelu.beat.eq(units["load"].gelu.beat),
        ]
        for name in NAMES:
            taken, done = getattr(self, f"tap_taken_{name}"), getattr(self, f"tap_done_{name}")
            unit = units[name]
            m.d.comb += [
                taken.valid.eq(unit.i.valid & unit.i.ready),
                taken.beat.number.eq(unit.i.p.number),
                done.valid.eq(unit.done.valid),
                done.beat.number.eq(unit.done.number),
            ]
