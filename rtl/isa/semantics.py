"""The meaning of every instruction, executable: an interpreter on NumPy scratchpads.

The loop nests of :mod:`rtl.isa.meaning`, in integers and without cycles. This is the one executable
reference of the instruction set: whole programs give golden's codes here, in program order and in
every other order that the semaphores allow (tests/rtl/compiler/test_programs.py), and the matmul
unit's RTL is compared with it (tests/rtl/matmul).

It moves data and nothing else. The arithmetic is that of docs/numerics.md, whose reference is the
golden model; golden belongs to ``sim``, which ``rtl`` may not import, so the caller hands in the
module :mod:`sim.golden`.

A program runs once per image. BEGIN of the first one says from what values the semaphores start,
and behind the last one they must be back there.

An instruction executes in two steps, because an engine may do anything between them: ``start``
reads what the unit reads first, ``finish`` does the rest. Only MATMUL needs both: its feed runs in
``start``, its drain in ``finish``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from rtl.isa.instructions import (
    INSTRUCTION_BYTES,
    SEMAPHORE_BITS,
    Activations,
    Base,
    Destination,
    Format,
    Instruction,
    Opcode,
    Target,
    Unit,
    Weights,
)
from rtl.isa.scratchpads import (
    Scratchpads,
    activation_mask,
    kept_words,
    lanes_of,
    parameter_fields,
    places_of,
    read_words,
    window,
    wrap,
    written_words,
)
from rtl.model.numerics import ACC_BITS, KV_BITS, RESIDUAL_BITS, SCORE_BITS, code_range

LOWEST_SCORE = -(1 << (SCORE_BITS - 1))


@dataclass(frozen=True)
class HostMemory:
    """The memory that the host fills before it starts the engine.

    Parameters
    ----------
    model : bytes
        Content of the MODEL region.
    image : bytes
        Content of the IMAGE region: all images, one behind the other.
    program_offset : int
        Offset of the program in the MODEL region.
    images : int
        Number of images.
    """

    model: bytes
    image: bytes
    program_offset: int
    images: int = 1

    def region(self, base: Base, image: int) -> np.ndarray:
        """Bytes of a region that is read, as an image's instructions see it."""
        content = np.frombuffer(self.image if base is Base.IMAGE else self.model, np.uint8)
        stride = len(content) // self.images
        return content[image * stride :][:stride] if base is Base.IMAGE else content

    def program(self) -> list[Instruction]:
        """Decode the program, BEGIN to END."""
        instructions = []
        for start in range(self.program_offset, len(self.model), INSTRUCTION_BYTES):
            code = self.model[start : start + INSTRUCTION_BYTES]
            instructions.append(Instruction.decode(code))
            if instructions[-1].opcode is Opcode.END:
                break
        return instructions


class Interpreter:
    """An executor of instructions, one at a time or a whole program.

    Parameters
    ----------
    pads : Scratchpads
        Changed in place.
    operations : module
        The operations of docs/numerics.md: :mod:`sim.golden`.
    host : HostMemory, optional
        Needed by LOAD, STORE and whole programs.
    """

    def __init__(self, pads: Scratchpads, operations: ModuleType, host: HostMemory | None = None):
        self.pads = pads
        self.config = pads.config
        self.operations = operations
        self.host = host or HostMemory(b"", b"", 0)
        self.program = self.host.program()
        self.images = self.host.images
        self.output: list[dict[int, np.ndarray]] = [{} for _ in range(self.images)]

    def run(self) -> np.ndarray:
        """Execute the program in its own order, image by image; return :meth:`result`."""
        semaphores = SemaphoreCounts(self.program[0])
        for image in range(self.images):
            for instruction in self.program:
                semaphores.lower(instruction)
                self.execute(instruction, image)
                semaphores.raise_(instruction)
        assert semaphores.balanced(), "the program is not balanced"
        return self.result()

    def result(self) -> np.ndarray:
        """Bytes that STOREs have written, as in the OUTPUT region: (images, bytes) uint8."""
        return np.stack(
            [np.concatenate([content for _, content in sorted(o.items())]) for o in self.output]
        )

    def execute(self, instruction: Instruction, image: int = 0) -> None:
        """Execute an instruction of an image, from its first read to its last write."""
        self.finish(instruction, self.start(instruction), image)

    def start(self, instruction: Instruction) -> np.ndarray | None:
        """Run the feed of a MATMUL: accumulators (row tile, lane, row). None of other opcodes."""
        if instruction.opcode is not Opcode.MATMUL:
            return None
        x = self._activation_port(instruction)
        weights = self._weight_port(instruction)
        acc = np.einsum("td,krd->ktr", x.astype(float), weights.astype(float), optimize=True)
        return wrap(acc.astype(np.int64), ACC_BITS)

    def finish(self, instruction: Instruction, sums: np.ndarray | None, image: int = 0) -> None:
        """Do everything that ``start`` has not done."""
        if sums is not None:
            self._drain(instruction, sums)
        elif instruction.opcode is Opcode.NORM:
            self._norm(instruction)
        elif instruction.opcode is Opcode.SOFTMAX:
            self._softmax(instruction)
        elif instruction.opcode is Opcode.SELECT:
            self._select(instruction)
        elif instruction.opcode is Opcode.LOAD:
            self._load(instruction, image)
        elif instruction.opcode is Opcode.STORE:
            self._store(instruction, image)

    # ------------------------------------------------------------ matmul: feed

    def _activation_port(self, i: Instruction) -> np.ndarray:
        """(token lanes, depth) codes."""
        address, words = i["activation_address"], i["depth_words"]
        if i["activations"] == Activations.PIXELS:
            return window(self.pads.pixels, address, words).reshape(len(self.pads.pixels), -1)
        granules = self.pads.granules(self.pads.activations)
        codes = window(granules, address, words).reshape(len(granules), -1)
        return wrap(codes, self.config.act_bits) if i["act_signed"] else codes

    def _weight_port(self, i: Instruction) -> np.ndarray:
        """(row tiles, row lanes, depth) weights."""
        source = {
            Weights.RING: self._ring_weights,
            Weights.KEYS: self._key_weights,
            Weights.VALUES: self._value_weights,
        }
        return np.stack(list(source[Weights(i["weights"])](i)))

    def _ring_weights(self, i: Instruction) -> Iterator[np.ndarray]:
        address, words = i["weight_address"], i["depth_words"]
        for tile in range(i["row_tiles"]):
            high = self._ring_words(address, words)
            address += words
            weights = wrap(high, 4)
            if i["bits8"] >> tile & 1:
                weights = 16 * weights + self._ring_words(address, words)
                address += words
            yield weights

    def _ring_words(self, address: int, words: int) -> np.ndarray:
        """(row lanes, depth) nibbles; the ring wraps."""
        nibbles = self.pads.ring[(address + np.arange(words)) % len(self.pads.ring)]
        return nibbles.swapaxes(0, 1).reshape(self.config.row_lanes, -1)

    def _key_weights(self, i: Instruction) -> Iterator[np.ndarray]:
        granules = self.pads.granules(self.pads.keys)
        for tile in range(i["row_tiles"]):
            address = i["weight_address"] + tile * i["weight_step"]
            yield window(granules, address, i["depth_words"]).reshape(len(granules), -1)

    def _value_weights(self, i: Instruction) -> Iterator[np.ndarray]:
        for tile in range(i["row_tiles"]):
            addresses = i["weight_address"] + tile + np.arange(i["depth_words"]) * i["weight_step"]
            assert addresses[-1] < self.pads.values.shape[1], f"address of {i} is too high"
            words = self.pads.values[:, addresses]  # (key in depth word, depth word, row)
            yield words.transpose(2, 1, 0).reshape(self.config.row_lanes, -1)

    # ------------------------------------------------------------ matmul: drain

    def _drain(self, i: Instruction, sums: np.ndarray) -> None:
        """Accumulators (row tile, lane, row) to the destination."""
        place = written_words(i, self.config)
        destination = Destination(i["destination"])
        scores = destination is Destination.SCORES
        results = wrap(sums, SCORE_BITS) if scores else self._requantize(i, sums)
        results = results[:, lanes_of(i)].swapaxes(0, 1)
        if destination is Destination.ACTIVATIONS:
            mask = activation_mask(i, self.config)
            results = np.where(mask, self._raw(results), self.pads[place])
        elif destination in (Destination.RESIDUAL, Destination.KEPT):
            base = self.pads[place] if i["accumulate"] else 0
            results = self.operations.add_residual(base, results, i["residual_shift"])
            if destination is Destination.KEPT:
                lanes, place = kept_words(i, self.config, self.pads.places)
                results = results[lanes]
        elif scores:
            keys = np.arange(i["row_tiles"] * self.config.row_lanes).reshape(i["row_tiles"], -1)
            valid = np.where(keys < i["keys"], results, LOWEST_SCORE)
            self.pads.maxima[i["slot"], lanes_of(i)] = valid.max(axis=(1, 2))
        self.pads[place] = results

    def _requantize(self, i: Instruction, sums: np.ndarray) -> np.ndarray:
        low, high = {
            Format.ACT_SIGNED: code_range(self.config.act_bits, True),
            Format.ACT_UNSIGNED: code_range(self.config.act_bits, False),
            Format.INT8: code_range(KV_BITS, True),
            Format.INT16: code_range(RESIDUAL_BITS, True),
        }[Format(i["format"])]
        if i["token_scale"]:
            multiplier, shift = self.pads.scales[i["slot"]].T[..., None]  # (lane, 1) each
            bias = 0
        else:
            records = window(self.pads.parameters, i["parameter_address"], i["row_tiles"], axis=0)
            bias, multiplier, shift = (field[:, None] for field in parameter_fields(records))
        codes = self.operations.requantize(sums, bias, multiplier, shift, low, high)
        return self.operations.gelu(codes, self.pads.gelu[i["gelu_table"]]) if i["gelu"] else codes

    # ------------------------------------------------------------ norm, softmax

    def _norm(self, i: Instruction) -> None:
        exponents = window(self.pads.exponents, i["exponent_address"], i["row_words"], axis=0)
        codes = [
            self._normalise(words.reshape(-1), exponents.reshape(-1), i)
            for words in self.pads[read_words(i, self.config)]
        ]
        place = written_words(i, self.config)
        self.pads[place] = self._raw(np.stack(codes)).reshape(*place.words.shape, -1)

    def _softmax(self, i: Instruction) -> None:
        words = self.pads[read_words(i, self.config)]
        weights = np.zeros_like(words).reshape(len(words), -1)
        for lane, scores, e in zip(lanes_of(i), words, weights, strict=True):
            scores = scores.reshape(-1)[: i["keys"]]
            assert scores.max() == self.pads.maxima[i["slot"], lane], i
            e[: i["keys"]] = self.operations.softmax_weights(
                scores, i["multiplier"], i["shift"], self.config.act_bits
            )
            self.pads.scales[i["slot"], lane] = self.operations.context_scale(
                e.sum(), i["context_multiplier"], i["context_shift"]
            )
        self.pads[written_words(i, self.config)] = weights.reshape(words.shape)
        if i["importance"]:
            self._add_importance(i, words[-1].reshape(-1)[: i["keys"]], weights[-1].sum())

    def _add_importance(self, i: Instruction, scores: np.ndarray, total: int) -> None:
        """Add what one head's scores of the class token say of each key that there is room for."""
        terms = self.operations.importance_terms(
            scores, i["multiplier"], i["shift"], self.config.act_bits, total
        )
        own = self.pads.importance[: len(terms)]
        own[:] = terms[: len(own)] + (0 if i["importance_first"] else own)

    def _select(self, i: Instruction) -> None:
        importance = window(self.pads.importance, 0, i["patches"], axis=0)
        kept = self.operations.select(importance, i["keep"])
        tokens = i["patches"] + i["others"]
        kept = np.concatenate([kept, np.arange(i["patches"], tokens)])
        window(self.pads.places, 0, tokens, axis=0)[:] = places_of(kept, tokens)

    def _normalise(self, r: np.ndarray, exponents: np.ndarray, i: Instruction) -> np.ndarray:
        """LayerNorm of a token with padded channels, which hold 0: they change no sum."""
        low, high = code_range(self.config.act_bits, bool(i["signed"]))
        s1, s2 = r.sum(), (r * r).sum()
        k, e = self.operations.rsqrt(i["width"] * s2 - s1 * s1 + i["epsilon"])
        k = (k * i["gain"]) >> 16
        shift = e + i["shift"] + exponents
        y = (r * (i["width"] * k) - s1 * k + (np.int64(1) << (shift - 1))) >> shift
        return np.clip(i["zero"] + y, low, high)

    # ------------------------------------------------------------ load, store

    def _load(self, i: Instruction, image: int) -> None:
        region = self.host.region(Base(i["base"]), image)
        stop = i["offset"] + i["bytes"]
        assert stop <= len(region), f"{i} reads beyond its region"
        data = region[i["offset"] : stop]
        load = {
            Target.WEIGHTS: self._load_weights,
            Target.PARAMETERS: self._load_parameters,
            Target.GELU: self._load_gelu,
            Target.EXPONENTS: self._load_exponents,
            Target.RESIDUAL: self._load_residual,
            Target.PIXELS: self._load_pixels,
        }
        load[Target(i["target"])](i, data)

    def _load_weights(self, i: Instruction, data: np.ndarray) -> None:
        nibbles = np.stack([data & 15, data >> 4], axis=1).reshape(-1, *self.pads.ring.shape[1:])
        window(self.pads.ring, i["destination"], len(nibbles), axis=0)[:] = nibbles

    def _load_parameters(self, i: Instruction, data: np.ndarray) -> None:
        records = data.view("<i8").reshape(-1, self.config.row_lanes)
        window(self.pads.parameters, i["destination"], len(records), axis=0)[:] = records

    def _load_gelu(self, i: Instruction, data: np.ndarray) -> None:
        self.pads.gelu[i["destination"]] = data

    def _load_exponents(self, i: Instruction, data: np.ndarray) -> None:
        used, beat = self.config.row_lanes // 4, self.config.memory_bytes
        beats = data.reshape(-1, -(-used // beat) * beat)[:, :used]
        exponents = (beats[..., None] >> np.array([0, 2, 4, 6]) & 3).reshape(len(beats), -1)
        window(self.pads.exponents, i["destination"], len(beats), axis=0)[:] = exponents

    def _load_residual(self, i: Instruction, data: np.ndarray) -> None:
        tokens = data.view("<i2").reshape(-1, i["row_words"], self.config.row_lanes)
        self.pads[written_words(i, self.config)] = tokens

    def _load_pixels(self, i: Instruction, data: np.ndarray) -> None:
        depth, segment = self.config.depth_lanes, i["segment_bytes"]
        words = -(-segment // depth)
        rows = data.reshape(-1, i["segments"], segment)
        padded = np.zeros((*rows.shape[:2], words * depth), np.uint8)
        padded[..., :segment] = rows
        patches = padded.swapaxes(0, 1).reshape(i["segments"], -1, depth)
        self.pads[written_words(i, self.config)] = patches

    def _store(self, i: Instruction, image: int) -> None:
        words = self.pads[read_words(i, self.config)]
        content = words.reshape(-1).astype("<i2" if i["int16"] else "<i4")
        self.output[image][i["offset"]] = content.view(np.uint8)

    def _raw(self, codes: np.ndarray) -> np.ndarray:
        return codes & ((1 << self.config.act_bits) - 1)


class SemaphoreCounts:
    """Values of the semaphores, [producer][consumer], from the credits of BEGIN on.

    Parameters
    ----------
    begin : Instruction
        The program's first instruction.
    """

    def __init__(self, begin: Instruction):
        self.credits = np.array(begin.credits)
        self.values = self.credits.copy()

    def available(self, instruction: Instruction) -> bool:
        """Tell whether an instruction may start."""
        return all(self.values[producer, instruction.unit] for producer in _units(instruction.wait))

    def lower(self, instruction: Instruction) -> None:
        """Start an instruction: lower the semaphores that it waits for."""
        assert self.available(instruction), f"{instruction} waits for a signal that never comes"
        for producer in _units(instruction.wait):
            self.values[producer, instruction.unit] -= 1

    def raise_(self, instruction: Instruction) -> None:
        """Complete an instruction: raise the semaphores that it signals."""
        for consumer in _units(instruction.signal):
            self.values[instruction.unit, consumer] += 1
        assert self.values.max() < 1 << SEMAPHORE_BITS, f"{instruction} raises a semaphore too high"

    def balanced(self) -> bool:
        """Tell whether all have the values that they started from."""
        return bool((self.values == self.credits).all())


def _units(marks: int) -> list[Unit]:
    return [unit for unit in Unit if marks >> unit & 1]
