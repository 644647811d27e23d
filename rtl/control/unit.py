"""The control unit: registers, fetcher, queues, semaphores, faults. Wiring only."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.control.completion import InFlight
from rtl.control.decode import queues_of
from rtl.control.fetch import Fetch
from rtl.control.registers import RegisterBus, RegisterFile
from rtl.control.run import Activity, Counters, FaultRecord, RunStatus, SoftReset, Status, Watchdog
from rtl.control.semaphores import Issue, Semaphores, issue_members
from rtl.isa.faults import Fault, FirstFault
from rtl.isa.instructions import OPCODE_OF, Base, Opcode, Unit
from rtl.isa.layouts import NUMBER_BITS, queued_layout
from rtl.isa.registers import EVENTS, IDENTITY, STALLS, VERSION
from rtl.isa.unit_port import UnitPort
from rtl.lib.pipeline import COPY
from rtl.lib.reset import ResetTree
from rtl.lib.streams import Queue, connect
from rtl.memory.axi import Axi4Lite
from rtl.memory.clients import ReadClient
from rtl.memory.regions import REGIONS_IN_FLIGHT

NAMES = tuple(unit.name.lower() for unit in Unit)
"""Names of the ports of the units, in the order of :class:`rtl.isa.instructions.Unit`."""
RESETTING, IGNORED = (Status.as_shape()[name].offset for name in ("resetting", "ignored"))
LARGE = {"fetch": ("loop",)}
"""Parts of parts that get a copy of the reset of their own."""


class UnitControl(wiring.Component):
    """Per-unit front end: instruction queue, issue logic, activity for the performance counters.

    Parameters
    ----------
    config : EngineConfig
    opcode : Opcode
        The instruction that the unit executes.

    Members
    -------
    i, o, available, taken, missing, halt, started, latest
        The members of :class:`rtl.control.semaphores.Issue`.
    head : Out(NUMBER)
        The oldest instruction in the queue.
    busy : In(1)
    stall : In(STALLS)
    activity : Out(Activity)
        The unit's activity in the cycle before.
    """

    def __init__(self, config: EngineConfig, opcode: Opcode):
        self.config = config
        self.opcode = opcode
        self.selection = config.select_tokens > 0
        super().__init__(
            issue_members(opcode, self.selection)
            | {
                "head": Out(NUMBER_BITS),
                "busy": In(1),
                "stall": In(STALLS),
                "activity": Out(Activity),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = queued_layout(self.opcode, self.selection)
        m.submodules.queue = queue = Queue(layout, self.config.queue_depth)
        m.submodules.issue = issue = Issue(self.opcode, self.selection)
        connect(m, producer=wiring.flipped(self.i), consumer=queue.i)
        connect(m, producer=queue.o, consumer=issue.i)
        connect(m, producer=issue.o, consumer=wiring.flipped(self.o))
        missing = issue.missing
        m.d.comb += [
            issue.available.eq(self.available),
            issue.halt.eq(self.halt),
            self.taken.eq(issue.taken),
            self.missing.eq(missing),
            self.started.eq(issue.started),
            self.latest.eq(issue.latest),
            self.head.eq(queue.o.p.dispatch.number),
        ]
        m.d.sync += [
            self.activity.busy.eq(self.busy),
            self.activity.waits.eq(missing & ~(missing - 1)),  # the first one missing
            self.activity.starved.eq(~self.busy & ~queue.o.valid & ~issue.o.valid),
            self.activity.stalls.eq(self.stall),
        ]
        return m


@dataclass(frozen=True)
class _Parts:
    """The submodules of the control unit; ``units`` in the order of ``NAMES``."""

    bus: RegisterBus
    soft_reset: SoftReset
    registers: RegisterFile
    run: RunStatus
    fetch: Fetch
    in_flight: InFlight
    semaphores: Semaphores
    watchdog: Watchdog
    counters: Counters
    record: FaultRecord
    first_fault: FirstFault
    units: tuple[UnitControl, ...]


class ControlUnit(wiring.Component):
    """Everything between the host's registers and the units.

    Parameters
    ----------
    config : EngineConfig
    faults : int
        Number of fault inputs: one for each scratchpad and unit that has any.

    Members
    -------
    host : In(Axi4Lite)
    irq : Out(1)
    program : Out(ReadClient)
    regions : Out(REGIONS_IN_FLIGHT)
    load, matmul, norm, softmax, store : In(UnitPort)
    stall_load ... stall_store : In(STALLS)
        Causes for which each unit stands still, for the counters alone.
    faults : In(Fault) x faults
    moved : In(1)
        Something moved on a bus.
    quiet : In(1)
        Nothing is outstanding on a bus.
    reset : Out(1)
        The root of the reset tree, for everything but the bus masters. A register.
    clear : Out(1)
        Bus masters forget their commands: as long as anything is in reset.
    """

    def __init__(self, config: EngineConfig, *, faults: int):
        self.config = config
        selection = config.select_tokens > 0
        units = {
            unit.name.lower(): In(UnitPort(opcode, selection)) for unit, opcode in OPCODE_OF.items()
        }
        stalls = {f"stall_{name}": In(STALLS) for name in NAMES}
        super().__init__(
            units
            | stalls
            | {
                "host": In(Axi4Lite()),
                "irq": Out(1),
                "program": Out(ReadClient(config.memory_bytes)),
                "regions": Out(REGIONS_IN_FLIGHT),
                "faults": In(Fault).array(faults),
                "moved": In(1),
                "quiet": In(1),
                "reset": Out(1),
                "clear": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bus = bus = RegisterBus()
        m.submodules.soft_reset = soft_reset = SoftReset()
        parts = {
            "registers": RegisterFile(),
            "run": RunStatus(),
            "fetch": Fetch(self.config),
            "in_flight": InFlight(self.config),
            "semaphores": Semaphores(),
            "watchdog": Watchdog(),
            "counters": Counters(),
            "record": FaultRecord(),
            "first_fault": FirstFault(len(self.faults) + 3),
        }
        units = tuple(UnitControl(self.config, OPCODE_OF[unit]) for unit in Unit)
        tree = self._reset(m, soft_reset, platform)
        for name, part in (parts | dict(zip(NAMES, units, strict=True))).items():
            m.submodules[name] = tree.part(f"control_{name}", part, LARGE.get(name, ()))
        p = _Parts(bus=bus, soft_reset=soft_reset, units=units, **parts)

        connect(m, producer=wiring.flipped(self.host), consumer=bus.host)
        connect(m, producer=p.fetch.reader, consumer=wiring.flipped(self.program))
        m.d.comb += [
            soft_reset.request.eq(p.run.control.reset),
            soft_reset.quiet.eq(self.quiet),
            bus.resetting.eq(self.clear),
            bus.forget.eq(p.run.control.reset),
            self.regions.eq(p.fetch.regions),
            self.irq.eq(p.run.irq),
        ]
        self._connect_bus(m, p)
        self._connect_registers(m, p)
        self._connect_run(m, p)
        self._connect_units(m, p)
        self._connect_faults(m, p)
        return m

    def _reset(self, m: Module, soft_reset: SoftReset, platform: object) -> ResetTree:
        """Make the root of the reset tree; ``clear`` lasts until its copies have fallen."""
        root, copies = Signal(reset_less=True, attrs=COPY), Signal(reset_less=True)
        clear = Signal(init=1)  # in reset as well
        m.d.sync += [
            root.eq(soft_reset.clear | ResetSignal(allow_reset_less=True)),
            copies.eq(root),
            clear.eq(soft_reset.clear | root | copies),
        ]
        m.d.comb += [self.reset.eq(root), self.clear.eq(clear)]
        return ResetTree(m, root, platform)

    def _connect_bus(self, m: Module, p: _Parts) -> None:
        m.d.comb += [
            p.registers.word.eq(p.bus.word),
            p.registers.read.eq(p.bus.read),
            p.registers.write.eq(p.bus.write),
            p.registers.data.eq(p.bus.data),
            p.registers.strobe.eq(p.bus.strobe),
            p.bus.value.eq(p.registers.value),
        ]

    def _connect_registers(self, m: Module, p: _Parts) -> None:
        registers, fetch, error = p.registers, p.fetch, p.record.o
        m.d.comb += [
            registers.identity.eq(IDENTITY),
            registers.version.eq(VERSION),
            registers.engine.eq(self.config.hash),
            registers.status.eq(
                p.run.status.as_value() | self.clear << RESETTING | p.bus.ignored << IGNORED
            ),
            registers.error.eq(Cat(error.code, error.unit, Const(0, 1), error.number)),
            registers.waits.eq(Cat(p.watchdog.waits)),
            p.watchdog.cycles.eq(registers.watchdog_cycles),
            p.run.control.eq(registers.control),
            p.run.irq_enable.eq(registers.irq_enable),
            fetch.program_address.eq(registers.program_address),
            fetch.program_bytes.eq(registers.program_bytes),
            fetch.images.eq(registers.images),
            fetch.image_stride.eq(registers.image_stride),
            fetch.output_stride.eq(registers.output_stride),
            fetch.initial[Base.MODEL].base.eq(registers.model_base),
            fetch.initial[Base.MODEL].limit.eq(registers.model_limit),
            fetch.initial[Base.IMAGE].base.eq(registers.image_base),
            fetch.initial[Base.IMAGE].limit.eq(registers.image_limit),
            fetch.initial[Base.OUTPUT].base.eq(registers.output_base),
            fetch.initial[Base.OUTPUT].limit.eq(registers.output_limit),
            registers.images_done.eq(p.run.images_done),
            registers.cycles.eq(p.run.cycles),
            registers.cycles_first.eq(p.run.cycles_first),
            registers.cycles_last.eq(p.run.cycles_last),
        ]
        for name, counts in zip(NAMES, p.counters.counts, strict=True):
            for event, count in zip(EVENTS, counts, strict=True):
                m.d.comb += getattr(registers, f"{name}_{event}").eq(count)

    def _connect_run(self, m: Module, p: _Parts) -> None:
        halted = p.record.o.valid
        m.d.comb += [
            p.fetch.start.eq(p.run.start),
            p.fetch.image_done.eq(p.in_flight.image_done),
            p.fetch.balanced.eq(p.semaphores.balanced),
            p.fetch.halt.eq(halted),
            p.in_flight.parity.eq(p.fetch.parity),
            p.in_flight.ended.eq(p.fetch.ended),
            p.in_flight.halt.eq(halted),
            p.semaphores.starts.eq(p.fetch.starts),
            p.semaphores.credits.eq(p.fetch.credits),
            p.run.running.eq(p.fetch.running),
            p.run.image_done.eq(p.in_flight.image_done),
            p.run.finished.eq(p.fetch.finished),
            p.run.failed.eq(halted),
            p.counters.start.eq(p.run.start),
            p.counters.running.eq(p.fetch.running),
            p.watchdog.running.eq(p.fetch.running),
        ]

    def _connect_units(self, m: Module, p: _Parts) -> None:
        events = [self.moved, p.fetch.moved]
        ports = (self.load, self.matmul, self.norm, self.softmax, self.store)
        stalls = (
            self.stall_load,
            self.stall_matmul,
            self.stall_norm,
            self.stall_softmax,
            self.stall_store,
        )
        for index, unit in enumerate(p.units):
            port, fetched = ports[index], queues_of(p.fetch)[index]
            connect(m, producer=fetched, consumer=unit.i)
            connect(m, producer=unit.o, consumer=wiring.flipped(port.i))
            m.d.comb += [
                unit.available.eq(p.semaphores.available[index]),
                unit.halt.eq(p.record.o.valid),
                unit.busy.eq(port.busy),
                unit.stall.eq(stalls[index]),
                p.semaphores.taken[index].eq(unit.taken),
                p.semaphores.completions[index].eq(port.done),
                p.in_flight.decoded[index].eq(unit.i.valid & unit.i.ready),
                p.in_flight.completed[index].eq(port.done.valid),
                p.watchdog.missing[index].eq(unit.missing),
                p.watchdog.heads[index].eq(unit.head),
                p.counters.activities[index].eq(unit.activity),
                p.record.latest[index].eq(unit.latest),
            ]
            events += [unit.started, port.done.valid]
        m.d.comb += p.watchdog.progress.eq(Cat(events))

    def _connect_faults(self, m: Module, p: _Parts) -> None:
        sources = (*self.faults, p.fetch.fault, p.semaphores.fault, p.watchdog.fault)
        m.d.comb += [
            sink.eq(source) for sink, source in zip(p.first_fault.sources, sources, strict=True)
        ]
        m.d.comb += p.record.i.eq(p.first_fault.o)
