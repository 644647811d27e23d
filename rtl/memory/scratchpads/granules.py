"""Granules: the ``depth_lanes`` codes of a word that a reader wants at a time."""

from amaranth.hdl import Value
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.lib.pipeline import choose


def split_granule(config: EngineConfig, request: Value) -> tuple[Value, Value]:
    """Word and granule within the word of a granule address."""
    bits = exact_log2(config.granules)
    return request[bits:], request[:bits]


def granules_of(word: Value, config: EngineConfig, code_bits: int, granule: Value) -> list[Value]:
    """``granule`` of each of the words of ``row_lanes`` codes that ``word`` consists of."""
    bits = config.depth_lanes * code_bits
    words = len(word) // (config.granules * bits)
    parts = [word[i * bits : (i + 1) * bits] for i in range(words * config.granules)]
    return [
        choose(parts[i * config.granules : (i + 1) * config.granules], granule)
        for i in range(words)
    ]
