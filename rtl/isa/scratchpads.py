"""Scratchpads of an engine as NumPy arrays, for :mod:`rtl.isa.semantics`.

A scratchpad is ``(banks, words, lanes)``; the weight ring, row parameters and channel exponents
have one bank and are ``(words, ...)``. Banks and words: docs/design/0001-engine.md.
"""

import numpy as np

from rtl.config import EngineConfig
from rtl.model.numerics import BIAS_BITS, MULTIPLIER_BITS


class Scratchpads:
    """Everything that instructions read and write on the chip, in integers.

    At the start it holds noise: nothing may depend on what was there.

    Parameters
    ----------
    config : EngineConfig
    seed : int
        Seed of the noise.
    """

    def __init__(self, config: EngineConfig, seed: int = 0):
        self.config = c = config
        rng = np.random.default_rng(seed)

        def noise(low: int, high: int, *shape: int) -> np.ndarray:
            return rng.integers(low, high + 1, shape, np.int64)

        rows, depth, tokens, code = c.row_lanes, c.depth_lanes, c.token_lanes, (1 << c.act_bits) - 1
        self.activations = noise(0, code, tokens, c.activation_words, rows)
        self.pixels = noise(0, 255, tokens, c.pixel_words, depth)
        self.keys = noise(-128, 127, rows, c.key_words, rows)
        self.values = noise(-128, 127, depth, c.value_words, rows)
        self.scores = noise(-(1 << 21), (1 << 21) - 1, 4, c.score_words, rows)
        self.residual = noise(-(1 << 15), (1 << 15) - 1, 4, c.residual_words, rows)
        self.ring = noise(0, 15, c.weight_words, rows, depth)
        self.parameters = parameter_records(
            noise(-5000, 4999, c.parameter_words, rows),
            noise(0, (1 << MULTIPLIER_BITS) - 1, c.parameter_words, rows),
            noise(15, 29, c.parameter_words, rows),
        )
        self.exponents = noise(0, 3, c.exponent_words, rows)
        self.gelu = noise(0, code, 2, 256)
        self.maxima = noise(0, 1, c.score_slots, tokens)
        multipliers = noise(0, (1 << MULTIPLIER_BITS) - 1, c.score_slots, tokens)
        shifts = noise(15, 27, c.score_slots, tokens)
        self.scales = np.stack([multipliers, shifts], axis=-1)  # by slot and lane

    def granules(self, pad: np.ndarray) -> np.ndarray:
        """View a scratchpad of words as (banks, granules, depth lanes)."""
        return pad.reshape(len(pad), -1, self.config.depth_lanes)


def window(pad: np.ndarray, address: int, words: int, axis: int = 1) -> np.ndarray:
    """View ``words`` words from ``address`` on; beyond the scratchpad is a fault."""
    assert address + words <= pad.shape[axis], f"address {address} + {words} of {pad.shape}"
    return pad[address : address + words] if axis == 0 else pad[:, address : address + words]


def wrap(value: np.ndarray, bits: int) -> np.ndarray:
    """Take the low ``bits`` bits as a signed integer."""
    half = 1 << (bits - 1)
    return ((value + half) & ((1 << bits) - 1)) - half


def parameter_records(bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Pack row parameters into records of 64 bits, as they lie in memory."""
    low = (bias & ((1 << BIAS_BITS) - 1)) | (multiplier << BIAS_BITS)
    return low | (shift << (BIAS_BITS + MULTIPLIER_BITS))


def parameter_fields(records: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias, multiplier and shift of row parameters' records."""
    bias = wrap(records & ((1 << BIAS_BITS) - 1), BIAS_BITS)
    multiplier = records >> BIAS_BITS & ((1 << MULTIPLIER_BITS) - 1)
    return bias, multiplier, records >> (BIAS_BITS + MULTIPLIER_BITS)
