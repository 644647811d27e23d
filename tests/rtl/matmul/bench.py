"""Scratchpads around a simulated matmul unit: NumPy arrays behind its ports."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Signal
from amaranth.lib.data import View

from rtl.config import EngineConfig
from rtl.isa.instructions import INSTRUCTIONS, Instruction, Opcode
from rtl.isa.scratchpads import NOWHERE, Scratchpads, wrap
from rtl.isa.semantics import Interpreter
from rtl.matmul.unit import MatmulUnit
from rtl.memory.ports import READ_LATENCY, RECORD_BITS, PairPlace
from sim import golden
from tests.rtl.simulation import simulate

FIELDS = {field.name: field.bits for field in INSTRUCTIONS[Opcode.MATMUL]}


def bits_of(codes: np.ndarray, width: int) -> int:
    """Codes, first one lowest, as one integer."""
    codes = np.asarray(codes, np.int64).ravel()
    bits = (codes[:, None] >> np.arange(width) & 1).astype(np.uint8)
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


def codes_of(bits: int, count: int, width: int, signed: bool) -> np.ndarray:
    """The inverse of :func:`bits_of`."""
    raw = np.frombuffer(bits.to_bytes(-(-count * width // 8), "little"), np.uint8)
    table = np.unpackbits(raw, bitorder="little")[: count * width].reshape(count, width)
    codes = table.astype(np.int64) @ (1 << np.arange(width, dtype=np.int64))
    return wrap(codes, width) if signed else codes


def execute(memory: Scratchpads, ops: list[dict[str, int]]) -> None:
    """Do to ``memory`` what MATMULs with these operands mean."""
    interpreter = Interpreter(memory, golden)
    for op in ops:
        interpreter.execute(Instruction(Opcode.MATMUL, op))


@dataclass
class Done:
    """A completion pulse."""

    cycle: int
    number: int
    signal: int


@dataclass
class Bench:
    """A matmul unit, the scratchpads behind its ports, and a record of what happened when."""

    config: EngineConfig
    memory: Scratchpads
    cycle: int = 0
    accepted: list[int] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    busy: int = 0
    stalled: int = 0
    stride: int = 0  # of places: what SELECT was told

    def run(self, scenario: Callable[["Bench", object], Awaitable[None]]) -> None:
        """Simulate ``scenario(bench, ctx)``."""
        self.unit, self.reset = MatmulUnit(self.config), Signal()

        async def testbench(ctx):
            self._set_scales(ctx)
            await scenario(self, ctx)

        simulate(self.unit, testbench, processes=[self._serve], reset=self.reset)

    async def issue(self, ctx, op: dict[str, int], *, number: int, signal: int = 0) -> None:
        """Hand over one instruction."""
        stream = self.unit.i
        payload = {"operands": {name: op.get(name, 0) for name in FIELDS}}
        ctx.set(stream.p, payload | {"number": number, "signal": signal})
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        self.accepted.append(self.cycle - 1)
        ctx.set(stream.valid, 0)

    async def finish(self, ctx, instructions: int, *, timeout: int = 4000) -> None:
        """Wait for that many completions in all, and for idleness."""
        for _ in range(timeout):
            if len(self.done) >= instructions and ctx.get(self.unit.idle):
                break
            await ctx.tick()
        else:
            raise AssertionError(f"{len(self.done)} of {instructions} instructions are done")
        self.memory.maxima[:] = [[ctx.get(lane) for lane in slot] for slot in self.unit.maxima]

    async def pulse_reset(self, ctx) -> None:
        ctx.set(self.reset, 1)
        await ctx.tick()
        ctx.set(self.reset, 0)

    async def load_gelu(self, ctx) -> None:
        """Write both tables."""
        port = self.unit.gelu_write
        ctx.set(port.valid, 1)
        for (table, index), code in np.ndenumerate(self.memory.gelu):
            ctx.set(port.beat, {"table": table, "index": index, "code": int(code), "number": 0})
            await ctx.tick()
        ctx.set(port.valid, 0)
        await ctx.tick().repeat(2)

    def _set_scales(self, ctx) -> None:
        for slot, lane in np.ndindex(self.memory.maxima.shape):
            multiplier, shift = map(int, self.memory.scales[slot, lane])
            ctx.set(self.unit.scales[slot][lane], {"multiplier": multiplier, "shift": shift})

    async def _serve(self, ctx) -> None:
        """Be the scratchpads: answer reads READ_LATENCY cycles later, take writes at once."""
        unit = self.unit
        reads = self._reads()
        writes = [
            (unit.activation_write, self._write_activations),
            (unit.key_write, self._write_keys),
            (unit.value_write, self._write_values),
            (unit.score_write, self._write_scores),
            (unit.residual_write, self._write_moved if self._selects else self._write_residual),
        ]
        raw = [_raw(port.request) for port, _, _ in reads]
        raw += [port.valid for port, _ in writes] + [_raw(port.beat) for port, _ in writes]
        events = [unit.done.valid, unit.done.number, unit.done.signal, unit.busy, unit.stall_drain]
        enables = [enable for _, enable, _ in reads]
        ctx.set(unit.residual.request.ready, 1)
        assert READ_LATENCY == 2
        pending = [None] * len(reads)
        async for _, _, *now in ctx.tick().sample(*events, *enables, *raw):
            now = [int(value) for value in now]
            valid, number, signal, busy, stall = now[:5]
            if valid:
                self.done.append(Done(self.cycle, number, signal))
            self.busy += busy
            self.stalled += stall
            enabled, requests = now[5 : 5 + len(reads)], now[5 + len(reads) : 5 + 2 * len(reads)]
            for index, (port, _, answer) in enumerate(reads):
                if pending[index] is not None:
                    ctx.set(_raw(port.data), pending[index])
                pending[index] = answer(requests[index]) if enabled[index] else None
            valids = now[5 + 2 * len(reads) : 5 + 2 * len(reads) + len(writes)]
            beats = now[5 + 2 * len(reads) + len(writes) :]
            for valid, bits, (port, write) in zip(valids, beats, writes, strict=True):
                if valid:
                    write(_unpack(port.beat.shape(), bits))
            self.cycle += 1

    def _reads(self) -> list:
        """(port, enable, answer to a request) of each read port."""
        unit, memory, c = self.unit, self.memory, self.config

        def granule(bank: np.ndarray, address: int) -> np.ndarray:
            return bank.reshape(len(bank), -1, c.depth_lanes)[:, address]

        def residual(request: int) -> int:
            half, word = request & 1, request >> 1
            return bits_of(memory.residual[2 * half : 2 * half + 2, word], 16)

        direct = [
            (unit.activations, lambda a: bits_of(granule(memory.activations, a), c.act_bits)),
            (unit.pixels, lambda a: bits_of(memory.pixels[:, a], 8)),
            (unit.weights, lambda a: bits_of(memory.ring[a], 4)),
            (unit.keys, lambda a: bits_of(granule(memory.keys, a), 8)),
            (unit.values, lambda a: bits_of(memory.values[:, a], 8)),
            (unit.parameters, lambda a: bits_of(memory.parameters[a], RECORD_BITS)),
        ]
        if self._selects:
            direct.append((unit.places, self._place))
        shared = _Shared(unit.residual)
        return [(port, port.enable, answer) for port, answer in direct] + [
            (shared, shared.enable, residual)
        ]

    def _write_activations(self, beat: dict) -> None:
        c = self.config
        codes = codes_of(beat["codes"], 2 * c.row_lanes, c.act_bits, False).reshape(2, -1)
        mask = np.repeat([beat["mask"] >> g & 1 for g in range(c.granules)], c.depth_lanes)
        for k in range(2):
            if beat["enable"] >> k & 1:
                word = self.memory.activations[2 * beat["pair"] + k, beat["word"]]
                word[mask == 1] = codes[k][mask == 1]

    def _write_keys(self, beat: dict) -> None:
        self._write_banks(self.memory.keys, beat)

    def _write_values(self, beat: dict) -> None:
        self._write_banks(self.memory.values, beat)

    def _write_banks(self, banks: np.ndarray, beat: dict) -> None:
        codes = codes_of(beat["codes"], 2 * self.config.row_lanes, 8, True).reshape(2, -1)
        for k in range(2):
            if beat["enable"] >> k & 1:
                banks[2 * beat["pair"] + k, beat["word"]] = codes[k]

    def _write_scores(self, beat: dict) -> None:
        scores = codes_of(beat["scores"], 4 * self.config.row_lanes, 22, True).reshape(4, -1)
        for k in range(4):
            if beat["enable"] >> k & 1:
                self.memory.scores[k, beat["word"]] = scores[k]

    @property
    def _selects(self) -> bool:
        return self.config.select_tokens > 0

    def _place(self, pair: int) -> int:
        """Return the place memory's word of two tokens, for the stride ``self.stride``."""
        own = self.memory.places[2 * pair : 2 * pair + 2]
        below = int((self.memory.places[: 2 * pair] != NOWHERE).sum())
        kept = sum(1 << i for i, place in enumerate(own) if place != NOWHERE)
        down = self.stride * (pair // 2 - below // 4)
        return PairPlace.const({"kept": kept, "index": below % 4, "down": down}).as_value().value

    def _write_moved(self, beat: dict) -> None:
        values = codes_of(beat["values"], 2 * self.config.row_lanes, 16, True).reshape(2, -1)
        for half in range(2):
            enable, word = beat["enable"] >> 2 * half & 3, beat["word"] >> 16 * half & 0xFFFF
            for lane in range(2):
                if enable >> lane & 1:
                    bank = self.memory.residual[2 * half + lane]
                    bank[word] = values[lane ^ beat["swap"]]

    def _write_residual(self, beat: dict) -> None:
        values = codes_of(beat["values"], 2 * self.config.row_lanes, 16, True).reshape(2, -1)
        for k in range(2):
            if beat["enable"] >> k & 1:
                self.memory.residual[2 * beat["half"] + k, beat["word"]] = values[k]


class _Shared:
    """The shared read port, looking like the others."""

    def __init__(self, port):
        self.request, self.enable, self.data = port.request.payload, port.request.valid, port.data


def _raw(value):
    return value.as_value() if isinstance(value, View) else value


def _unpack(layout, bits: int) -> dict[str, int]:
    return {name: bits >> member.offset & ((1 << member.width) - 1) for name, member in layout}
