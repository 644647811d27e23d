"""Sizes of an engine: lanes, scratchpads, memory port. Frozen and validated."""

import hashlib
import json
import re
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rtl.errors import UserError
from rtl.model import numerics

INSTRUCTION_SET_VERSION = 4
SELECTION_VERSION = 5  # of the instruction set of engines that select tokens
SELECTED_TOKENS = (0, 256, 1024)
MULTIPLIERS = ("dsp48e2", "mult18x18")
MIN_SCORE_SLOTS, MAX_SCORE_SLOTS = 2, 4
PARTS = ("softmax_parts", "norm_parts")
SCRATCHPADS = tuple(
    "activations pixels keys values scores residual weights parameters exponents".split()
)
PLAIN = [*((field, 1) for field in PARTS), ("uram", ()), ("select_tokens", 0)]
"""Values of fields that came later: what engines had before."""
JSON_KINDS = {
    str: (str, "a string"),
    int: (int, "a whole number"),
    tuple[str, ...]: (list, "a list of names"),
}


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True)
class EngineConfig:
    """Everything that is fixed when an engine is generated.

    The array multiplies ``token_lanes x row_lanes x depth_lanes`` 4-bit weights by codes of
    ``act_bits`` per cycle. Scratchpad depths count words of one bank; docs/design/0001-engine.md
    says what a word and a bank is in each of them.

    Parameters
    ----------
    name : str
        Printed in reports; not part of the hash.
    token_lanes : int
        Tokens per tile, even.
    row_lanes : int
        Output channels per tile, a power of two.
    depth_lanes : int
        Terms of each dot product per cycle, a power of two, at most ``row_lanes``.
    act_bits : int
        Bits of hidden activations: 4, 6 or 8.
    multiplier : str
        The hard multiplier that products are packed into: ``dsp48e2`` or ``mult18x18``.
    activation_words : int
        Words (``row_lanes`` codes) of each of the ``token_lanes`` activation banks.
    pixel_words : int
        Words (``depth_lanes`` bytes) of each of the ``token_lanes`` pixel banks.
    key_words : int
        Words (``row_lanes`` codes of 8 bits) of each of the ``row_lanes`` key banks.
    value_words : int
        Words (``row_lanes`` codes of 8 bits) of each of the ``depth_lanes`` value banks.
    score_words : int
        Words (``row_lanes`` raw scores) of each of the 4 score banks.
    residual_words : int
        Words (``row_lanes`` x 16 bits) of each of the 4 residual banks.
    weight_words : int
        Words (``row_lanes * depth_lanes`` nibbles) of the weight ring.
    parameter_words : int
        Words (``row_lanes`` records) of the row-parameter memory.
    exponent_words : int
        Words (``row_lanes`` x 2 bits) of the LayerNorm exponent memory.
    score_slots : int
        Token tiles of one head that may be between scores and context at a time, 2 to 4.
    softmax_parts : int
        Cycles that softmax works on a word of ``row_lanes`` scores, a power of two, at most
        ``granules``.
    norm_parts : int
        Cycles that a pass of LayerNorm works on a word of ``row_lanes`` channels, likewise.
    queue_depth : int
        Instructions that wait in front of each unit.
    memory_bytes : int
        Bytes per beat of the AXI4 memory port: at least a pixel word's, at most a weight word's
        and a word of logits'.
    uram : tuple of str
        Scratchpads whose banks are UltraRAM, of :data:`SCRATCHPADS` and in their order; the others
        are block RAM or LUTs. Only with ``dsp48e2``, and only on devices that have UltraRAM.
    select_tokens : int
        Patches that may be chosen from by their importance: 256, 1,024, or 0 where the engine
        selects none.

    Raises
    ------
    UserError
        If a size is impossible; the message names the value and the limit.
    """

    name: str
    token_lanes: int
    row_lanes: int
    depth_lanes: int
    act_bits: int
    multiplier: str
    activation_words: int
    pixel_words: int
    key_words: int
    value_words: int
    score_words: int
    residual_words: int
    weight_words: int
    parameter_words: int
    exponent_words: int
    score_slots: int = MIN_SCORE_SLOTS
    softmax_parts: int = 1
    norm_parts: int = 1
    queue_depth: int = 16
    memory_bytes: int = 16
    uram: tuple[str, ...] = ()
    select_tokens: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "uram", tuple(self.uram))  # JSON has lists
        self._check_lanes()
        self._check_memories()
        self._check_uram()

    def _refuse(self, field: str, requirement: str) -> None:
        raise UserError(
            f"engine '{self.name}': {field} must be {requirement}, not {getattr(self, field)!r}"
        )

    def _check_lanes(self) -> None:
        if self.act_bits not in numerics.ACT_BITS:
            self._refuse("act_bits", "4, 6 or 8")
        if self.multiplier not in MULTIPLIERS:
            self._refuse("multiplier", " or ".join(MULTIPLIERS))
        if self.token_lanes % 2 or not 2 <= self.token_lanes <= 32:
            self._refuse("token_lanes", "even and between 2 and 32")
        if not _is_power_of_two(self.row_lanes) or not 4 <= self.row_lanes <= 64:
            self._refuse("row_lanes", "a power of two between 4 and 64")
        if not _is_power_of_two(self.depth_lanes) or not 4 <= self.depth_lanes <= self.row_lanes:
            self._refuse(
                "depth_lanes", f"a power of two between 4 and row_lanes = {self.row_lanes}"
            )
        for field in PARTS:
            parts = getattr(self, field)
            if not _is_power_of_two(parts) or parts > self.granules:
                self._refuse(field, f"a power of two, at most granules = {self.granules}")

    def _check_memories(self) -> None:
        for field in fields(self):
            if field.name.endswith("_words") and not 2 <= getattr(self, field.name) <= 1 << 14:
                self._refuse(field.name, f"between 2 and {1 << 14}")
        if self.memory_bytes not in (4, 8, 16, 32, 64):
            self._refuse("memory_bytes", "4, 8, 16, 32 or 64")
        if not self.depth_lanes <= self.memory_bytes <= self.narrowest_bytes:
            low, high = f"depth_lanes = {self.depth_lanes}", self.narrowest_bytes
            self._refuse("memory_bytes", f"between {low} and the narrowest word's {high} bytes")
        if not MIN_SCORE_SLOTS <= self.score_slots <= MAX_SCORE_SLOTS:
            self._refuse("score_slots", f"between {MIN_SCORE_SLOTS} and {MAX_SCORE_SLOTS}")
        if not _is_power_of_two(self.queue_depth) or self.queue_depth < 2:
            self._refuse("queue_depth", "a power of two, at least 2")

        if self.select_tokens not in SELECTED_TOKENS:
            self._refuse("select_tokens", "0, 256 or 1024")

    def _check_uram(self) -> None:
        if self.uram != tuple(name for name in SCRATCHPADS if name in self.uram):
            self._refuse("uram", f"some of {', '.join(SCRATCHPADS)}, in this order")
        if self.uram and self.multiplier != "dsp48e2":
            self._refuse("uram", f"empty with multiplier '{self.multiplier}'")

    @cached_property
    def granules(self) -> int:
        """Depth words (``depth_lanes`` codes) per scratchpad word of ``row_lanes`` codes."""
        return self.row_lanes // self.depth_lanes

    @property
    def softmax_lanes(self) -> int:
        """Scores of a token that softmax takes per cycle."""
        return self.row_lanes // self.softmax_parts

    @property
    def norm_lanes(self) -> int:
        """Channels of each of two tokens that LayerNorm takes per cycle."""
        return self.row_lanes // self.norm_parts

    @property
    def products(self) -> int:
        """Products of a 4-bit weight and an activation per cycle."""
        return self.token_lanes * self.row_lanes * self.depth_lanes

    @property
    def weight_word_bytes(self) -> int:
        return self.row_lanes * self.depth_lanes // 2

    @property
    def parameter_word_bytes(self) -> int:
        """Bytes in memory of one row tile's records, 8 per row."""
        return 8 * self.row_lanes

    @property
    def exponent_word_bytes(self) -> int:
        """Bytes in memory of one row tile's exponents, 2 bits per channel: whole beats."""
        return -(-2 * self.row_lanes // (8 * self.memory_bytes)) * self.memory_bytes

    @property
    def residual_word_bytes(self) -> int:
        return 2 * self.row_lanes

    @property
    def logit_word_bytes(self) -> int:
        return numerics.LOGIT_BITS // 8 * self.row_lanes

    @property
    def narrowest_bytes(self) -> int:
        """Bytes of the narrowest word that is made of whole beats."""
        return min(self.weight_word_bytes, self.logit_word_bytes)

    def to_json(self) -> dict[str, Any]:
        """Return the sizes by name; UltraRAM and selection only where there are any."""
        sizes = asdict(self) | {"uram": list(self.uram)}
        return {k: v for k, v in sizes.items() if v or k not in ("uram", "select_tokens")}

    @cached_property
    def hash(self) -> int:
        """64 bits over all sizes and the instruction set's version; programs carry it.

        :data:`PLAIN` values are not mentioned: engines from before these fields keep their hash.
        """
        sizes = {k: v for k, v in asdict(self).items() if k != "name" and (k, v) not in PLAIN}
        version = SELECTION_VERSION if self.select_tokens else INSTRUCTION_SET_VERSION
        text = json.dumps({"isa": version} | sizes, sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


TINY = EngineConfig(
    name="tiny",
    token_lanes=4,
    row_lanes=16,
    depth_lanes=8,
    act_bits=6,
    multiplier="dsp48e2",
    activation_words=2048,
    pixel_words=1024,
    key_words=128,
    value_words=512,
    score_words=128,
    residual_words=512,
    weight_words=1024,
    parameter_words=128,
    exponent_words=64,
)

TINY_SELECT = replace(TINY, name="tiny_select", select_tokens=256)

ULX3S = EngineConfig(  # the largest ECP5 holds it beside the memory of a small network
    name="ulx3s",
    token_lanes=6,
    row_lanes=4,
    depth_lanes=4,
    act_bits=6,
    multiplier="mult18x18",
    activation_words=1024,
    pixel_words=512,
    key_words=128,
    value_words=128,
    score_words=64,
    residual_words=1024,
    weight_words=1024,
    parameter_words=512,
    exponent_words=32,
    memory_bytes=8,
)

ZCU102 = EngineConfig(
    name="zcu102",
    token_lanes=18,
    row_lanes=32,
    depth_lanes=16,
    act_bits=6,
    multiplier="dsp48e2",
    activation_words=1536,
    pixel_words=1024,
    key_words=64,
    value_words=512,
    score_words=256,
    residual_words=2048,
    weight_words=2560,
    parameter_words=512,
    exponent_words=64,
    score_slots=4,
    queue_depth=128,
    memory_bytes=64,
)

ZCU102_SELECT = replace(ZCU102, name="zcu102_select", select_tokens=256)

ZCU102_A4 = replace(ZCU102, name="zcu102_a4", act_bits=4)

ZCU102_A8 = replace(  # half as many products per multiplier: half the row lanes, twice the words
    ZCU102,
    name="zcu102_a8",
    act_bits=8,
    row_lanes=16,
    activation_words=3072,
    key_words=256,
    value_words=1024,
    score_words=512,
    residual_words=4096,
    weight_words=5120,
    parameter_words=1024,
    exponent_words=128,
)

ZCU104 = replace(  # sizes of this and of KV260: docs/design/0022-uram.md
    ZCU102,
    name="zcu104",
    token_lanes=12,
    activation_words=4096,
    value_words=64,
    weight_words=4096,
    memory_bytes=16,
    uram=("activations", "weights"),
)

KV260 = replace(
    ZCU104,
    name="kv260",
    token_lanes=16,
    row_lanes=16,
    score_words=512,
    residual_words=4096,
    queue_depth=64,
    uram=("activations", "residual", "weights"),
)

KV260_SELECT = replace(KV260, name="kv260_select", select_tokens=256)

KV260_BRAM = replace(  # without UltraRAM, for networks of DeiT-T's size
    KV260,
    name="kv260_bram",
    activation_words=512,
    pixel_words=512,
    residual_words=1024,
    weight_words=512,
    parameter_words=64,
    uram=(),
)

PRESETS = (TINY, ULX3S, ZCU102, ZCU102_A4, ZCU102_A8, ZCU104, KV260, KV260_BRAM)
SELECTING = (TINY_SELECT, ZCU102_SELECT, KV260_SELECT)  # presets that select tokens
ENGINES = {engine.name: engine for engine in PRESETS + SELECTING}

ENGINE_HELP = f"Engine: {', '.join(ENGINES)}, or the path of a .json file with an engine's sizes."


def engine(name: str) -> EngineConfig:
    """Look an engine up by its name, in any case, or read it from the path of a ``.json`` file.

    Raises
    ------
    UserError
        If there is none of that name (lists those that exist), or its file is wrong.
    """
    if name.lower().endswith(".json"):
        return _read(Path(name))
    try:
        return ENGINES[name.lower()]
    except KeyError:
        raise UserError(
            f"unknown engine {name!r}: choose one of {', '.join(ENGINES)}, or a path ending in"
            " .json"
        ) from None


def _read(file: Path) -> EngineConfig:
    try:
        # Some editors begin a file with a byte-order mark, which JSON does not know.
        sizes = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{file}: not a JSON file: {error}") from None
    if not isinstance(sizes, dict):
        raise UserError(f"{file}: must hold an engine's sizes by name")
    known = {field.name: field for field in fields(EngineConfig)}
    for name, value in sizes.items():
        if name not in known:
            raise UserError(f"{file}: {name} = {value!r}: no such field")
        kind, wanted = JSON_KINDS[known[name].type]
        if type(value) is not kind:
            raise UserError(f"{file}: {name} must be {wanted}, not {value!r}")
    for name, field in known.items():
        if name not in sizes and field.default is MISSING:
            raise UserError(f"{file}: {name} is missing")
    if not re.fullmatch(r"\w+", sizes["name"], re.ASCII):
        raise UserError(f"{file}: name must be a word of letters, digits, _, not {sizes['name']!r}")
    try:
        return EngineConfig(**sizes)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
