"""An engine without a simulator: the registers, and the executable instruction set behind them.

The program is executed as it lies in memory, so that a driver which puts anything in a wrong place
gets wrong logits, or none.
"""

from collections.abc import MutableSequence
from functools import lru_cache

import numpy as np

from boards.host.transport import Transport
from rtl.config import EngineConfig
from rtl.isa import registers
from rtl.isa.faults import FETCH, FaultCode
from rtl.isa.instructions import Opcode
from rtl.isa.registers import CONTROL_BITS, OFFSETS, REGISTERS, STATUS_BITS
from rtl.isa.scratchpads import Scratchpads
from rtl.isa.semantics import HostMemory, Interpreter
from sim import golden

CYCLES = 100  # of an image
PLACES = {OFFSETS[r.name] + 4 * part: (r.name, part) for r in REGISTERS for part in range(r.words)}


class EngineModel:
    """Registers and runs; ``memory`` is shared with whoever else can write it.

    Attributes
    ----------
    memory : (bytes) uint8
        As the engine sees it, from address ``base``.
    hangs, stuck : bool
        Never ends a run; never ends a reset.
    fault : FaultCode or None
        The next run ends with it, behind its first image.
    starts : int
        How often a run was begun.
    """

    def __init__(self, engine: EngineConfig, memory: np.ndarray, base: int = 0):
        self.engine, self.memory, self.base = engine, memory, base
        self.hangs = self.stuck = False
        self.fault: FaultCode | None = None
        self.starts = 0
        self.values: dict[str, int] = {}
        self.reset()

    def reset(self) -> None:
        self.values = {r.name: r.reset for r in REGISTERS}
        self.values.update(
            identity=registers.IDENTITY, version=registers.VERSION, engine=self.engine.hash
        )

    def read32(self, offset: int) -> int:
        name, part = PLACES[offset]
        return self.values[name] >> 32 * part & 0xFFFFFFFF

    def write32(self, offset: int, value: int) -> None:
        name, part = PLACES[offset]
        kind = next(r for r in REGISTERS if r.name == name)
        if "resetting" in self.status() or kind.access == "ro":
            self.flag("ignored")
        elif name == "control":
            self.control({bit for i, bit in enumerate(CONTROL_BITS) if value >> i & 1})
        else:
            mask = 0xFFFFFFFF << 32 * part
            merged = self.values[name] & ~mask | value << 32 * part
            self.values[name] = merged & ((1 << kind.bits) - 1)

    def control(self, bits: set[str]) -> None:
        if "reset" in bits:
            self.reset()
            if self.stuck:
                self.flag("resetting")
        elif "start" in bits and self.status() & {"busy", "error"}:
            self.flag("ignored")
        elif "start" in bits:
            self.starts += 1
            self.run()

    def status(self) -> set[str]:
        return {bit for i, bit in enumerate(STATUS_BITS) if self.values["status"] >> i & 1}

    def flag(self, *bits: str) -> None:
        for bit in bits:
            self.values["status"] |= 1 << STATUS_BITS.index(bit)

    def run(self) -> None:
        v = self.values
        v.update(status=0, images_done=0, cycles=0, cycles_first=0, cycles_last=0)
        if self.hangs:
            return self.flag("busy")
        try:
            outputs = self.outputs()
        except (AssertionError, ValueError, IndexError):
            return self.stop(FaultCode.OPCODE)
        if outputs is None:
            return self.stop(FaultCode.ENGINE)
        for i, content in enumerate(outputs):
            at = v["output_base"] - self.base + i * v["output_stride"]
            if at + len(content) > v["output_limit"] - self.base:
                return self.stop(FaultCode.ADDRESS)
            self.memory[at : at + len(content)] = content
            v["images_done"] = i + 1
            if self.fault:
                return self.stop(self.fault)
        count = len(outputs)
        v.update(cycles=count * CYCLES, cycles_first=CYCLES, cycles_last=count * CYCLES)
        return self.flag("done")

    def stop(self, code: FaultCode) -> None:
        self.values["error"] = code | FETCH << 4 | 7 << 8
        self.fault = None
        self.flag("done", "error")

    def outputs(self) -> np.ndarray | None:
        """OUTPUT regions of all images; None if the program is for another engine."""
        v = self.values

        def region(name: str) -> bytes:
            part = slice(v[f"{name}_base"] - self.base, v[f"{name}_limit"] - self.base)
            return self.memory[part].tobytes()

        images, stride = v["images"], v["image_stride"]
        image = region("image")[: images * stride]
        assert len(image) == images * stride
        offset = v["program_address"] - v["model_base"]
        program = region("model"), offset, v["program_bytes"]
        return execute(self.engine, *program, image, images)


@lru_cache(maxsize=64)
def execute(
    engine: EngineConfig, model: bytes, offset: int, program_bytes: int, image: bytes, images: int
) -> np.ndarray | None:
    """Execute a program on images; what was executed before is remembered."""
    host = HostMemory(model, image, offset, images)
    interpreter = Interpreter(Scratchpads(engine), golden, host)
    begin, end = interpreter.program[0], interpreter.program[-1]
    if begin["engine"] != engine.hash or 32 * begin["instructions"] != program_bytes:
        return None
    assert (begin.opcode, end.opcode) == (Opcode.BEGIN, Opcode.END)
    return interpreter.run()


class ModelTransport(Transport):
    """A driver's way to an EngineModel, with a log of the accesses to registers."""

    def __init__(self, engine: EngineConfig, memory_bytes: int = 1 << 18):
        self.memory_bytes = memory_bytes
        self.memory = np.zeros(memory_bytes, np.uint8)
        self.model = EngineModel(engine, self.memory)
        self.log: MutableSequence[tuple[str, int, int]] = []
        self.time = 0.0
        self.closed = False

    def read32(self, offset: int) -> int:
        value = self.model.read32(offset)
        self.log.append(("read", offset, value))
        return value

    def write32(self, offset: int, value: int) -> None:
        self.log.append(("write", offset, value))
        self.model.write32(offset, value)

    def put(self, offset: int, data: bytes) -> None:
        assert offset + len(data) <= self.memory_bytes
        self.memory[offset : offset + len(data)] = np.frombuffer(data, np.uint8)

    def get(self, offset: int, count: int) -> bytes:
        return self.memory[offset : offset + count].tobytes()

    def wait(self, limit_s: float) -> None:
        self.time += min(limit_s, 0.1)

    def now(self) -> float:
        return self.time

    def close(self) -> None:
        self.closed = True
