"""ImportanceAdder against golden; rows and memories are tested with the whole selection."""

import numpy as np
import pytest

from rtl.memory.ports import IMPORTANCE_LANES
from rtl.model.numerics import ACT_BITS, IMPORTANCE_TERM_MAX
from rtl.vector.importance import ImportanceAdder
from sim.golden import ops
from tests.rtl.rigid import stream_through


@pytest.mark.parametrize("act_bits", ACT_BITS)
@pytest.mark.parametrize("first", [0, 1])
def test_importance_equals_golden(act_bits, first):
    """Rows from the most even one to one that a single key has alone, with the largest term."""
    rng = np.random.default_rng(act_bits)
    for keys, spread in ((1, 0), (8, 0), (32, 300), (256, 5000), (1024, 0)):
        scores = rng.integers(-spread - 1, spread + 1, keys) if spread else np.zeros(keys, int)
        e = ops.softmax_weights(scores, 3000, 18, act_bits)
        total = int(e.sum())
        terms = ops.importance_terms(scores, 3000, 18, act_bits, total)
        assert terms.max() <= IMPORTANCE_TERM_MAX and (keys > 1 or terms[0] >= 65000)
        weights = np.resize(_exact(scores, act_bits), -(-keys // 4) * 4).reshape(-1, 4)[:40]
        old = rng.integers(0, 1 << 23, weights.shape)
        length = total.bit_length()
        row = {
            "reciprocal": (1 << 15 + length) // total,
            "length": length,
            "keys": keys,
            "first": first,
            "number": 0,
        }
        count, late = len(weights), ImportanceAdder.OLD_LATENCY
        inputs = [
            {
                "weights": weights[min(cycle, count - 1)].tolist(),
                "row": row,
                "old": old[max(0, min(cycle - late, count - 1))].tolist(),
            }
            for cycle in range(count + late)
        ]
        outputs = stream_through(ImportanceAdder(act_bits), inputs, ImportanceAdder.LATENCY)
        found = np.array([list(entry["o"]) for entry in outputs])[: len(weights)]
        assert found.shape == (len(weights), IMPORTANCE_LANES)
        expected = np.resize(terms, -(-keys // 4) * 4).reshape(-1, 4)[:40] + (1 - first) * old
        np.testing.assert_array_equal(found, expected)


def _exact(scores, act_bits):
    """Weights before dither: golden's sums with a total of 1 << 8, where R is 2**16 and L is 9."""
    return ops.importance_terms(scores, 3000, 18, act_bits, 1 << 8)
