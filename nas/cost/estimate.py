"""Costs of a network on a board, by the exact timing model; what is known of a board's engines."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from nas.cost.calibration import find
from nas.cost.hardware import HardwareTarget
from nas.cost.records import extrapolates
from rtl.board import Board
from rtl.build.synthesis import Resources, family_of
from rtl.compiler import Program
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.isa.instructions import Unit
from rtl.model.shape import NetworkShape
from rtl.resources.memories import block_memories, ultra_rams
from rtl.resources.structure import dsps
from rtl.timing import MemoryTiming, Prediction
from rtl.timing.bound import KindWork, work_by_kind
from rtl.timing.breakdown import Breakdown, breakdown_of
from rtl.timing.latencies import unit_latencies
from rtl.timing.simulate import simulate
from rtl.timing.traffic import Work, work_of

IMAGES = 3  # back to back: the fewest that give cycles per image
BINDING = 0.9  # share of the cycles from which a busy resource is the bottleneck


@dataclass(frozen=True)
class Estimate:
    """Costs of a network on a board's engine, images back to back.

    Parameters
    ----------
    hardware : HardwareTarget
        The board and its engine.
    program : Program
        The compiled network.
    """

    hardware: HardwareTarget
    program: Program

    @classmethod
    def of(cls, hardware: HardwareTarget, shape: NetworkShape) -> "Estimate":
        """Compile a network.

        Raises
        ------
        UserError
            If the engine cannot run it; names the limit.
        """
        return cls(hardware, hardware.compile(shape))

    def at(self, clock_hz: int) -> "Estimate":
        """Return the costs at another clock."""
        return Estimate(self.hardware.at(clock_hz), self.program)

    @property
    def board(self) -> Board:
        return self.hardware.board

    @property
    def engine(self) -> EngineConfig:
        return self.hardware.engine

    @property
    def shape(self) -> NetworkShape:
        return self.program.plan.shape

    @property
    def memory(self) -> MemoryTiming:
        return self.hardware.memory

    @cached_property
    def prediction(self) -> Prediction:
        return simulate(self.program, self.memory, unit_latencies(self.engine), IMAGES)

    @cached_property
    def breakdown(self) -> Breakdown:
        """The cycles of an image by what the matmul unit does in them."""
        return breakdown_of(self.program, self.prediction, self.memory)

    @cached_property
    def work(self) -> Work:
        return work_of(self.program)

    @cached_property
    def work_by_kind(self) -> dict[str, KindWork]:
        """Work without padding, by kind of layer."""
        return work_by_kind(self.shape, pixel_passes=1 if self.engine.act_bits == 8 else 2)

    @property
    def memory_excess(self) -> str | None:
        """The reason why the board's memory does not hold the network; None if it does."""
        try:
            self.hardware.require_memory(self.program)
        except UserError as error:
            return str(error)
        return None

    @property
    def energy_joules(self) -> float | None:
        """Dynamic energy of an image; None without a power report: uncalibrated."""
        found = find(self.board)
        return found.power.joules(self.work.products) if found and found.power else None

    @property
    def cycles(self) -> float:
        """Cycles from the end of one image to the end of the next."""
        return self.prediction.cycles_per_image or self.prediction.cycles

    @property
    def frames_per_second(self) -> float:
        return self.board.frames_per_second(self.cycles)

    @property
    def padding(self) -> dict[str, float]:
        """Cycles in which the array multiplies nothing but padding, by kind of layer."""
        products = self.engine.products
        return {
            kind: cycles - self.work_by_kind[kind].products / products
            for kind, cycles in self.breakdown.multiplying.items()
        }

    @property
    def least_cycles(self) -> dict[str, float]:
        """Cycles that each resource needs if it never waits; the drain includes the array."""
        busy = self.prediction.busy
        return {
            "array": self.work.array_cycles,
            "drain": sum(self.breakdown.multiplying.values())
            + sum(self.breakdown.draining.values()),
            "memory": self.work.bytes / self.memory.bytes_per_cycle,
            "softmax": busy[Unit.SOFTMAX],
            "norm": busy[Unit.NORM],
        }

    @property
    def binds(self) -> str:
        """The bottleneck, with its share of the cycles.

        It is a resource that hardly ever rests; where there is none, the busiest resource is named
        with the most frequent wait.
        """
        least = self.least_cycles
        name = max(least, key=least.__getitem__)
        if name == "drain" and least["array"] >= BINDING * least["drain"]:
            name = "array"
        # Of three images the last one has nothing to load for a next one: up to 1 % too fast.
        share = min(1.0, least[name] / self.cycles)
        text = f"{name} {share:.1%}"
        wait, cycles = next(iter(self.breakdown.waits().items()))
        if share >= BINDING:
            return text
        return f"{text}, waits for {wait} {cycles / self.cycles:.1%}"


def error_bars(board: Board, engine: EngineConfig) -> tuple[float, float] | None:
    """Return the lowest and highest ratio of RTL cycles to predicted ones, of a calibration.

    None if the board is not calibrated, or another engine is.
    """
    found = find(board)
    if found is None or not found.is_of(engine):
        return None
    ratios = [each.rtl / each.predicted for each in found.latency.held_out]
    return (min(ratios), max(ratios)) if ratios else None


def resources_of(engine: EngineConfig, board: Board) -> Resources | None:
    """Return the resources of an engine on a board; None if the board is not calibrated."""
    found = find(board)
    return found.resource_model.predict(engine) if found else None


def extrapolated(engine: EngineConfig, board: Board) -> list[str]:
    """Return the sizes of an engine that the resource model was not fitted to, in words."""
    found = find(board)
    return found.resource_model.extrapolates(engine) if found else []


def caveats(hardware: HardwareTarget, *shapes: NetworkShape) -> list[str]:
    """Return what limits the trust in predictions: no calibration, an old one, extrapolations."""
    board, found = hardware.board, find(hardware.board)
    if found is None:
        return [
            f"board '{board.name}' is not calibrated: the cycles' error is not known, python -m"
            f" nas.calibrate --board {board.option} measures it"
        ]
    warning = found.warning(board)
    said = [warning] if warning else []
    # Of the board's own engine, the warning has said so.
    if not found.is_of(hardware.engine) and not (warning and hardware.is_default):
        said.append(
            f"cycles of engine '{hardware.engine.name}' extrapolate: board '{board.name}' is"
            f" calibrated with engine '{found.latency.engine}'"
        )
    if sizes := extrapolated(hardware.engine, board):
        said.append(f"resources of engine '{hardware.engine.name}' extrapolate: {sizes[0]}")
    if found.power and not found.is_of(hardware.engine):
        said.append(
            f"energy of engine '{hardware.engine.name}' extrapolates: the power report of board"
            f" '{board.name}' is of another engine"
        )
    ranges, memory = found.latency.ranges, hardware.memory
    beyond = dict.fromkeys(part for shape in shapes for part in extrapolates(ranges, shape, memory))
    if beyond:
        said.append(f"cycles on board '{board.name}' extrapolate: {', '.join(beyond)}")
    return said


def excess(engine: EngineConfig, board: Board) -> str | None:
    """Return which resources are too many for a board, in words; None if none is known to be."""
    resources = resources_of(engine, board)
    try:
        board.require(**(asdict(resources) if resources else _counted(engine, board)))
    except UserError as error:
        return str(error)
    return None


def _counted(engine: EngineConfig, board: Board) -> dict[str, Any]:
    """Count the resources that are known without a calibration."""
    family = family_of(board.device)
    return {
        "dsp": sum(dsps(engine, family).values()),
        "bram36": sum(block_memories(engine, family).values()),
        "uram": sum(ultra_rams(engine).values()),
    }


def hardware_figures(hardware: HardwareTarget, *shapes: NetworkShape) -> dict[str, Any]:
    """Return the figures of a board and its engine for JSON, with caveats on networks' cycles."""
    board, engine = hardware.board, hardware.engine
    resources = resources_of(engine, board)
    return {
        "board": board.name,
        "clock_hz": board.clock_hz,
        "engine": engine.to_json() | {"hash": f"{engine.hash:016x}"},
        "resources": asdict(resources) if resources else None,
        "limits": board.limits.model_dump(),
        "excess": excess(engine, board),
        "error_bars": error_bars(board, engine),
        "caveats": caveats(hardware, *shapes),
    }


def figures(estimate: Estimate) -> dict[str, Any]:
    """Return the figures of an estimate for JSON."""
    cycles, work = estimate.breakdown, estimate.work
    return {
        "cycles_per_image": estimate.cycles,
        "fps": estimate.frames_per_second,
        "binds": estimate.binds,
        "least_cycles": estimate.least_cycles,
        "bytes_per_cycle": estimate.memory.bytes_per_cycle,
        "cycles": {
            "multiplying": cycles.multiplying,
            "padding": estimate.padding,  # contained in multiplying
            "draining": cycles.draining,
            "waiting": {
                kind: {str(wait): idle for wait, idle in causes.items()}
                for kind, causes in cycles.waiting.items()
            },
        },
        "work": asdict(work) | {"bytes": work.bytes, "energy_joules": estimate.energy_joules},
    }
