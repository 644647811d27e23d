"""Features of tokens: the four ways to pool, with and without the final LayerNorm."""

from types import SimpleNamespace

import numpy as np
import pytest

from boards.host.features import features

BATCH, PATCHES, OTHERS, WIDTH = 2, 4, 2, 8
TOKENS = np.random.default_rng(0).integers(-500, 500, (BATCH, PATCHES + OTHERS, WIDTH))


def output(pool, epsilon: float | None = 1e-6):
    rng = np.random.default_rng(1)
    return SimpleNamespace(
        pool=pool,
        scale=0.01,
        epsilon=epsilon,
        matrix=rng.normal(size=(3, WIDTH)).astype(np.float32),
        bias=rng.normal(size=3).astype(np.float32),
    )


def normalised(values):
    centred = values - values.mean()
    return centred / np.sqrt((centred**2).mean() + 1e-6)


@pytest.mark.parametrize(
    ("pool", "pooled"),
    [("token", [PATCHES + OTHERS - 1]), ("mean", range(PATCHES)), ("all", None)],
)
def test_token_by_token(pool, pooled):
    """The class token is the last one; the mean is over patches alone."""
    made = output(pool)
    each = np.array(
        [
            [made.matrix @ normalised(0.01 * token) + made.bias for token in image]
            for image in TOKENS
        ]
    )
    expected = each if pooled is None else each[:, list(pooled)].mean(axis=1)
    found = features(made, TOKENS, PATCHES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_without_a_layernorm():
    made = output("token", epsilon=None)
    expected = 0.01 * TOKENS[:, -1] @ made.matrix.T + made.bias
    np.testing.assert_allclose(features(made, TOKENS, PATCHES), expected, rtol=1e-5)
