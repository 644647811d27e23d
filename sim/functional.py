"""What each instruction does: an interpreter of programs on NumPy scratchpads.

The executable form of docs/design/0001-engine.md: it decodes instructions from memory and moves
exact integers between scratchpads as the units do, without cycles. A program that the compiler
made gives golden's logits here, in program order and in every other order that the semaphores
allow (:mod:`tests.rtl.compiler`).

A program runs once per image. BEGIN of the first one says from what values the semaphores start,
and behind the last one they must be back there.

An instruction executes in two steps, because an engine may do anything between them: ``start``
reads what the unit reads first, ``finish`` does the rest. Only MATMUL needs both: its feed runs in
``start``, its drain in ``finish``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rtl.config import EngineConfig
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
from rtl.model.numerics import ACC_BITS, BIAS_BITS, MULTIPLIER_BITS, code_range
from sim.golden import ops

NO_SCORE = -(1 << 40)  # below every score


@dataclass
class Registers:
    """What the host writes before it starts the engine: bytes of each region, program's offset.

    The pictures lie behind each other in ``image``.
    """

    model: bytes
    image: bytes
    program_offset: int
    images: int = 1


class FunctionalEngine:
    """Scratchpads, and a method per instruction.

    Scratchpads are filled with noise at the start, as nothing may depend on what was there.

    Parameters
    ----------
    config : EngineConfig
    registers : Registers
    seed : int
        Of the noise.
    """

    def __init__(self, config: EngineConfig, registers: Registers, seed: int = 0):
        self.config = config
        self.images = registers.images
        self.memory = {
            Base.MODEL: np.frombuffer(registers.model, np.uint8),
            Base.IMAGE: np.frombuffer(registers.image, np.uint8),
        }
        self.image_stride = len(registers.image) // registers.images
        self.output: list[dict[int, np.ndarray]] = [{} for _ in range(registers.images)]
        self.program = list(_decode(registers.model[registers.program_offset :]))
        rng = np.random.default_rng(seed)

        def noise(low: int, high: int, *shape: int) -> np.ndarray:
            return rng.integers(low, high + 1, shape, np.int64)

        c, rows, depth = config, config.row_lanes, config.depth_lanes
        # The first index is the bank, then words, then lanes of a word.
        self.activations = noise(0, (1 << c.act_bits) - 1, c.token_lanes, c.activation_words, rows)
        self.pixels = noise(0, 255, c.token_lanes, c.pixel_words, depth)
        self.keys = noise(-128, 127, rows, c.key_words, rows)
        self.values = noise(-128, 127, depth, c.value_words, rows)
        self.scores = noise(-(1 << 21), (1 << 21) - 1, 4, c.score_words, rows)
        self.residual = noise(-(1 << 15), (1 << 15) - 1, 4, c.residual_words, rows)
        self.ring = noise(0, 15, c.weight_words, rows, depth)
        self.parameters = noise(0, (1 << 50) - 1, c.parameter_words, rows)
        self.exponents = noise(0, 3, c.exponent_words, rows)
        self.gelu = noise(0, (1 << c.act_bits) - 1, 2, 256)
        self.maxima = noise(0, 1, c.score_slots, c.token_lanes)  # slots
        self.scales = noise(1, 9, c.score_slots, c.token_lanes, 2)  # slots; multiplier, shift

    def run(self) -> np.ndarray:
        """Execute the program in its own order, image by image; :meth:`result`."""
        semaphores = Semaphores(self.program[0])
        for image in range(self.images):
            for instruction in self.program:
                semaphores.lower(instruction)
                self.finish(instruction, self.start(instruction), image)
                semaphores.raise_(instruction)
        assert semaphores.balanced(), "the program is not balanced"
        return self.result()

    def result(self) -> np.ndarray:
        """(images, words) int32: what is in the OUTPUT region."""
        return np.stack(
            [np.concatenate([words for _, words in sorted(o.items())]) for o in self.output]
        )

    def start(self, instruction: Instruction) -> np.ndarray | None:
        """The feed of a MATMUL: accumulators (row tile, lane, row); of others nothing."""
        if instruction.opcode is not Opcode.MATMUL:
            return None
        x = self._activation_port(instruction)
        weights = self._weight_port(instruction)
        acc = np.einsum("td,krd->ktr", x.astype(float), weights.astype(float), optimize=True)
        return wrap(acc.astype(np.int64), ACC_BITS)

    def finish(self, instruction: Instruction, sums: np.ndarray | None, image: int = 0) -> None:
        """Everything that ``start`` has not done."""
        if sums is not None:
            self._drain(instruction, sums)
        elif instruction.opcode in (Opcode.NORM, Opcode.SOFTMAX):
            getattr(self, f"_{instruction.opcode.name.lower()}")(instruction)
        elif instruction.opcode in (Opcode.LOAD, Opcode.STORE):
            getattr(self, f"_{instruction.opcode.name.lower()}")(instruction, image)

    # ------------------------------------------------------------ matmul: feed

    def _activation_port(self, i: Instruction) -> np.ndarray:
        """(token lanes, depth) codes."""
        address, words = i["activation_address"], i["depth_words"]
        if i["activations"] == Activations.PIXELS:
            return self._window(self.pixels, address, words).reshape(len(self.pixels), -1)
        granules = self._granules(self.activations)
        codes = self._window(granules, address, words).reshape(len(granules), -1)
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
        nibbles = self.ring[(address + np.arange(words)) % len(self.ring)]
        return nibbles.swapaxes(0, 1).reshape(self.config.row_lanes, -1)

    def _key_weights(self, i: Instruction) -> Iterator[np.ndarray]:
        granules = self._granules(self.keys)
        for tile in range(i["row_tiles"]):
            address = i["weight_address"] + tile * i["weight_step"]
            yield self._window(granules, address, i["depth_words"]).reshape(len(granules), -1)

    def _value_weights(self, i: Instruction) -> Iterator[np.ndarray]:
        for tile in range(i["row_tiles"]):
            addresses = i["weight_address"] + tile + np.arange(i["depth_words"]) * i["weight_step"]
            self._check(addresses[-1], self.values)
            words = self.values[:, addresses]  # (key in depth word, depth word, row)
            yield words.transpose(2, 1, 0).reshape(self.config.row_lanes, -1)

    # ------------------------------------------------------------ matmul: drain

    def _drain(self, i: Instruction, sums: np.ndarray) -> None:
        """Accumulators (row tile, lane, row) to the destination."""
        destination = Destination(i["destination"])
        if destination is Destination.SCORES:
            self._drain_scores(i, sums)
            return
        codes = self._requantize(i, sums)
        if destination is Destination.ACTIVATIONS:
            self._drain_activations(i, codes)
            return
        pad, group = {
            Destination.KEYS: (self.keys, self.config.row_lanes),
            Destination.VALUES: (self.values, self.config.depth_lanes),
            Destination.RESIDUAL: (self.residual, 4),
        }[destination]
        for lane in _lanes(i):
            token = i["token"] + lane
            groups = token // group - i["token"] // group
            address = i["destination_address"] + i["destination_stride"] * groups
            words = self._window(pad[token % group], address, i["row_tiles"], axis=0)
            if destination is Destination.RESIDUAL:
                base = words if i["accumulate"] else 0
                words[:] = ops.add_residual(base, codes[:, lane], i["residual_shift"])
            else:
                words[:] = codes[:, lane]

    def _requantize(self, i: Instruction, sums: np.ndarray) -> np.ndarray:
        low, high = {
            Format.ACT_SIGNED: code_range(self.config.act_bits, True),
            Format.ACT_UNSIGNED: code_range(self.config.act_bits, False),
            Format.INT8: ops.INT8,
            Format.INT16: ops.INT16,
        }[Format(i["format"])]
        if i["token_scale"]:
            multiplier, shift = self.scales[i["slot"]].T[..., None]  # (lane, 1) each
            bias = 0
        else:
            records = self._window(self.parameters, i["parameter_address"], i["row_tiles"], axis=0)
            bias, multiplier, shift = (field[:, None] for field in parameter_fields(records))
        codes = ops.requantize(sums, bias, multiplier, shift, low, high)
        return self.gelu[i["gelu_table"]][codes + 128] if i["gelu"] else codes

    def _drain_activations(self, i: Instruction, codes: np.ndarray) -> None:
        words = self._window(self.activations, i["destination_address"], i["row_tiles"])
        rows = np.arange(i["row_tiles"] * self.config.row_lanes)
        granule = (rows // self.config.depth_lanes).reshape(i["row_tiles"], -1)
        first = i["mask_first"]
        mask = (granule >= first) & (granule < first + i["mask_count"])
        for lane in _lanes(i):
            words[lane][mask] = self._raw(codes[:, lane])[mask]

    def _drain_scores(self, i: Instruction, sums: np.ndarray) -> None:
        keys = np.arange(i["row_tiles"] * self.config.row_lanes).reshape(i["row_tiles"], -1)
        for lane in _lanes(i):
            address = i["destination_address"] + i["destination_stride"] * (lane // 4)
            words = self._window(self.scores[lane % 4], address, i["row_tiles"], axis=0)
            words[:] = sums[:, lane]
            valid = np.where(keys < i["keys"], sums[:, lane], NO_SCORE)
            self.maxima[i["slot"], lane] = valid.max()

    # ------------------------------------------------------------ norm, softmax

    def _norm(self, i: Instruction) -> None:
        exponents = self._window(self.exponents, i["exponent_address"], i["row_words"], axis=0)
        for lane in _lanes(i):
            token = i["token"] + lane
            groups = token // 4 - i["token"] // 4
            address = i["source_address"] + i["source_stride"] * groups
            words = self._window(self.residual[token % 4], address, i["row_words"], axis=0)
            codes = _normalise(words.reshape(-1), exponents.reshape(-1), i, self.config.act_bits)
            destination = self._window(self.activations, i["destination_address"], i["row_words"])
            destination[lane] = self._raw(codes).reshape(i["row_words"], -1)

    def _softmax(self, i: Instruction) -> None:
        for lane in _lanes(i):
            address = i["source_address"] + i["source_stride"] * (lane // 4)
            words = self._window(self.scores[lane % 4], address, i["key_words"], axis=0)
            scores = words.reshape(-1)[: i["keys"]]
            assert scores.max() == self.maxima[i["slot"], lane], i
            weights = np.zeros(words.size, np.int64)
            weights[: i["keys"]] = ops.softmax_weights(
                scores, i["multiplier"], i["shift"], self.config.act_bits
            )
            destination = self._window(self.activations, i["destination_address"], i["key_words"])
            destination[lane] = weights.reshape(i["key_words"], -1)
            scale = ops.context_scale(weights.sum(), i["context_multiplier"], i["context_shift"])
            self.scales[i["slot"], lane] = scale

    # ------------------------------------------------------------ load, store

    def _load(self, i: Instruction, image: int) -> None:
        region = self.memory[Base(i["base"])]
        if i["base"] == Base.IMAGE:
            region = region[image * self.image_stride :][: self.image_stride]
        stop = i["offset"] + i["bytes"]
        assert stop <= len(region), f"{i} reads beyond its region"
        data = region[i["offset"] : stop]
        getattr(self, f"_load_{Target(i['target']).name.lower()}")(i, data)

    def _load_weights(self, i: Instruction, data: np.ndarray) -> None:
        nibbles = np.stack([data & 15, data >> 4], axis=1).reshape(-1, *self.ring.shape[1:])
        self._window(self.ring, i["destination"], len(nibbles), axis=0)[:] = nibbles

    def _load_parameters(self, i: Instruction, data: np.ndarray) -> None:
        records = data.view("<i8").reshape(-1, self.config.row_lanes)
        self._window(self.parameters, i["destination"], len(records), axis=0)[:] = records

    def _load_gelu(self, i: Instruction, data: np.ndarray) -> None:
        self.gelu[i["destination"]] = data

    def _load_exponents(self, i: Instruction, data: np.ndarray) -> None:
        used, beat = self.config.row_lanes // 4, self.config.memory_bytes
        beats = data.reshape(-1, -(-used // beat) * beat)[:, :used]
        exponents = (beats[..., None] >> np.array([0, 2, 4, 6]) & 3).reshape(len(beats), -1)
        self._window(self.exponents, i["destination"], len(beats), axis=0)[:] = exponents

    def _load_residual(self, i: Instruction, data: np.ndarray) -> None:
        tokens = data.view("<i2").reshape(-1, i["row_words"], self.config.row_lanes)
        for token, words in enumerate(tokens, i["token"]):
            groups = token // 4 - i["token"] // 4
            address = i["destination"] + i["stride"] * groups
            self._window(self.residual[token % 4], address, i["row_words"], axis=0)[:] = words

    def _load_pixels(self, i: Instruction, data: np.ndarray) -> None:
        depth, segment = self.config.depth_lanes, i["segment_bytes"]
        words = -(-segment // depth)
        rows = data.reshape(-1, i["segments"], segment)
        padded = np.zeros((*rows.shape[:2], words * depth), np.uint8)
        padded[..., :segment] = rows
        for s in range(i["segments"]):
            crossings, lane = divmod(i["lane_first"] + s, self.config.token_lanes)
            address = i["destination"] + crossings * i["stride"]
            patch = padded[:, s].reshape(-1, depth)
            self._window(self.pixels[lane], address, len(patch), axis=0)[:] = patch

    def _store(self, i: Instruction, image: int) -> None:
        words = self._window(
            self.residual[i["token"] % 4], i["source_address"], i["row_words"], axis=0
        )
        self.output[image][i["offset"]] = words.reshape(-1).astype(np.int32)

    # ------------------------------------------------------------ words

    def _window(self, pad: np.ndarray, address: int, words: int, axis: int = 1) -> np.ndarray:
        """Words ``address`` ... as a view; beyond the scratchpad is a fault."""
        assert address + words <= pad.shape[axis], f"address {address} + {words} of {pad.shape}"
        return pad[address : address + words] if axis == 0 else pad[:, address : address + words]

    def _check(self, address: int, pad: np.ndarray) -> None:
        assert address < pad.shape[1], f"address {address} of {pad.shape}"

    def _granules(self, pad: np.ndarray) -> np.ndarray:
        """(banks, granules, depth lanes) view of a scratchpad of words."""
        return pad.reshape(len(pad), -1, self.config.depth_lanes)

    def _raw(self, codes: np.ndarray) -> np.ndarray:
        return codes & ((1 << self.config.act_bits) - 1)


class Semaphores:
    """The semaphores, [producer][consumer], from the credits of the first image's BEGIN on."""

    def __init__(self, begin: Instruction):
        self.credits = np.array(begin.credits)
        self.values = self.credits.copy()

    def available(self, instruction: Instruction) -> bool:
        """Whether an instruction may start."""
        return all(self.values[producer, instruction.unit] for producer in _units(instruction.wait))

    def lower(self, instruction: Instruction) -> None:
        """An instruction starts."""
        assert self.available(instruction), f"{instruction} waits for a signal that never comes"
        for producer in _units(instruction.wait):
            self.values[producer, instruction.unit] -= 1

    def raise_(self, instruction: Instruction) -> None:
        """An instruction is complete."""
        for consumer in _units(instruction.signal):
            self.values[instruction.unit, consumer] += 1
        assert self.values.max() < 1 << SEMAPHORE_BITS, f"{instruction} raises a semaphore too high"

    def balanced(self) -> bool:
        """Whether all have the values that they started from."""
        return bool((self.values == self.credits).all())


def _units(marks: int) -> list[Unit]:
    return [unit for unit in Unit if marks >> unit & 1]


def wrap(value: np.ndarray, bits: int) -> np.ndarray:
    """The low ``bits`` bits as a signed integer."""
    half = 1 << (bits - 1)
    return ((value + half) & ((1 << bits) - 1)) - half


def parameter_fields(records: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias, multiplier and shift of 64-bit row parameters."""
    bias = wrap(records & ((1 << BIAS_BITS) - 1), BIAS_BITS)
    multiplier = records >> BIAS_BITS & ((1 << MULTIPLIER_BITS) - 1)
    return bias, multiplier, records >> (BIAS_BITS + MULTIPLIER_BITS)


def _lanes(i: Instruction) -> range:
    return range(i["lane_first"], i["lane_first"] + i["lane_count"])


def _decode(code: bytes) -> Iterator[Instruction]:
    for start in range(0, len(code), INSTRUCTION_BYTES):
        instruction = Instruction.decode(code[start : start + INSTRUCTION_BYTES])
        yield instruction
        if instruction.opcode is Opcode.END:
            return


def _normalise(r: np.ndarray, exponents: np.ndarray, i: Instruction, act_bits: int) -> np.ndarray:
    """LayerNorm of a token with padded channels, which hold 0: they change no sum."""
    low, high = code_range(act_bits, bool(i["signed"]))
    s1, s2 = r.sum(), (r * r).sum()
    k, e = ops.rsqrt(i["width"] * s2 - s1 * s1 + i["epsilon"])
    k = (k * i["gain"]) >> 16
    shift = e + i["shift"] + exponents
    y = (r * (i["width"] * k) - s1 * k + (np.int64(1) << (shift - 1))) >> shift
    return np.clip(i["zero"] + y, low, high)
