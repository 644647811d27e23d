"""Engines and shapes of random networks that reach each corner of the compiler, by name."""

from dataclasses import replace

from rtl.config import TINY, ULX3S, ZCU102

SMALL = {
    "image": (28, 28, 1),
    "patch": 14,
    "width": 32,
    "head_dim": 16,
    "blocks": ((2, 64),) * 2,
    "classes": 5,
}
WIDE32 = {"row_granularity": 32}
FINE = {"image": (28, 28, 1), "patch": 7, "width": 32}  # 16 patches
WIDE_MLP = FINE | {"blocks": ((1, 200), (2, 64))}
HEAD32 = FINE | {"head_dim": 32}
ODD = {
    "image": (96, 96, 3),
    "patch": 16,
    "width": 72,
    "head_dim": 24,
    "blocks": ((3, 100), (2, 60)),
    "classes": 37,
}
ODD_TOKENS = {
    "image": (96, 64, 3),
    "patch": 16,
    "width": 40,
    "head_dim": 24,
    "blocks": ((3, 100), (2, 60)),
    "output": "tokens",
    "class_token": False,
    "row_granularity": 8,
}
SHORT_RING = replace(TINY, weight_words=60, parameter_words=5, exponent_words=5)
FEW_HIDDEN = replace(TINY, activation_words=36)
FEW_KEYS = replace(TINY, key_words=4, value_words=6)
SELECTING = replace(TINY, select_tokens=256)
BEAT_OF_TWO = replace(TINY, row_lanes=8, memory_bytes=32, weight_words=4096)  # words of weights

SHAPES = {
    "digits": (TINY, {}),
    "digits on ulx3s": (ULX3S, {"width": 32, "blocks": ((2, 64),) * 2}),
    "digits on zcu102": (ZCU102, WIDE32),
    "depth 1, colour, head_dim of 8, odd sizes": (
        TINY,
        {
            "image": (28, 28, 3),
            "patch": 14,
            "width": 40,
            "head_dim": 8,
            "blocks": ((1, 50),),
            "classes": 3,
        },
    ),
    "heads across row tiles, blocks of different sizes": (
        TINY,
        ODD,
    ),
    "padded heads": (TINY, SMALL | {"head_dim": 12, "blocks": ((3, 40), (1, 20), (2, 33))}),
    "padded heads, patch of 32": (
        ZCU102,
        WIDE32 | ODD | {"patch": 32},
    ),
    "all rows 8-bit": (TINY, SMALL | {"bits8_fraction": 1.0}),
    "coarse row tiles": (TINY, SMALL | {"row_granularity": 32, "bits8_fraction": 0.5}),
    "codes of 4 bits": (replace(TINY, act_bits=4), SMALL | {"act_bits": 4}),
    "codes of 8 bits": (replace(TINY, act_bits=8), SMALL | {"act_bits": 8}),
    "class token in a tile of its own": (TINY, {"blocks": ((1, 16),), "width": 16}),
    "two patches in a row, many lanes": (
        ZCU102,
        WIDE32 | {"patch": 14, "width": 32, "blocks": ((1, 64),)},
    ),
    "ring smaller than a layer": (
        SHORT_RING,
        SMALL | {"blocks": ((2, 100),) * 2, "width": 48},
    ),
    "pixels of one chain at a time": (
        replace(TINY, pixel_words=100),
        {"image": (56, 56, 1), "patch": 8, "blocks": ((2, 32),), "width": 32},
    ),
    "hidden activations of one tile at a time": (
        FEW_HIDDEN,
        WIDE_MLP,
    ),
    "one group of keys at a time": (
        FEW_KEYS,
        HEAD32 | {"blocks": ((3, 32),) * 2},
    ),
    "scores of one tile": (replace(TINY, score_words=2), {"width": 32, "blocks": ((2, 32),) * 2}),
    "three slots, scores of two": (
        replace(TINY, score_slots=3, score_words=4),
        FINE | {"blocks": ((3, 32),) * 2},
    ),
    "four slots, room for three": (
        replace(TINY, score_slots=4, activation_words=32),
        FINE | {"blocks": ((3, 32),) * 2},
    ),
    "four slots, one group of keys at a time": (
        replace(TINY, score_slots=4, key_words=4, value_words=6),
        HEAD32 | {"blocks": ((3, 32),) * 2},
    ),
    "lanes of 2 x 4 x 4": (
        replace(TINY, token_lanes=2, row_lanes=4, depth_lanes=4, memory_bytes=8),
        {
            "image": (28, 28, 1),
            "patch": 14,
            "width": 12,
            "head_dim": 4,
            "blocks": ((2, 16),) * 2,
            "row_granularity": 4,
        },
    ),
    "lanes of 16 x 16 x 16": (
        replace(TINY, token_lanes=16, row_lanes=16, depth_lanes=16),
        {"blocks": ((2, 64),) * 2},
    ),
    "mean": (TINY, {"blocks": ((2, 64),) * 2, "pool": "mean"}),
    "mean without class token, odd sizes": (
        TINY,
        SMALL | {"image": (42, 42, 3), "width": 40, "pool": "mean", "class_token": False},
    ),
    "mean of a single patch": (
        TINY,
        SMALL | {"patch": 28, "pool": "mean", "class_token": False, "seed": 2},
    ),
    "mean on zcu102": (ZCU102, WIDE32 | {"width": 96, "blocks": ((2, 64),), "pool": "mean"}),
    "mean of codes of 4 bits": (replace(TINY, act_bits=4), SMALL | {"act_bits": 4, "pool": "mean"}),
    "mean of signed codes of 8 bits": (
        replace(TINY, act_bits=8),
        SMALL | {"act_bits": 8, "pool": "mean"},
    ),
    "mean of unsigned codes of 8 bits": (
        replace(TINY, act_bits=8),
        SMALL | {"act_bits": 8, "pool": "mean", "seed": 2},
    ),
    "mean, three groups of channels": (
        replace(TINY, key_words=4, value_words=7),
        {
            "image": (28, 28, 1),
            "patch": 7,
            "width": 72,
            "head_dim": 32,
            "blocks": ((3, 32),) * 2,
            "pool": "mean",
        },
    ),
    "mean, parameters of two row tiles at a time": (
        SHORT_RING,
        SMALL | {"blocks": ((2, 100),) * 2, "width": 48, "pool": "mean", "class_token": False},
    ),
    "mean, hidden activations of one tile at a time": (
        FEW_HIDDEN,
        WIDE_MLP | {"pool": "mean"},
    ),
    "tokens": (TINY, SMALL | {"output": "tokens", "pool": "all"}),
    "tokens, a beat of two words, odd sizes": (
        BEAT_OF_TWO,
        ODD_TOKENS | {"pool": "mean", "registers": 1},
    ),
    "tokens on zcu102": (ZCU102, WIDE32 | {"blocks": ((2, 64),), "output": "tokens"}),
    "tokens, hidden activations of one tile at a time": (
        FEW_HIDDEN,
        WIDE_MLP | {"output": "tokens"},
    ),
    "registers in tiles of their own": (TINY, SMALL | {"registers": 9}),
    "registers and the mean": (TINY, SMALL | {"registers": 6, "pool": "mean"}),
    "registers, no class token": (
        TINY,
        SMALL | {"registers": 5, "pool": "mean", "class_token": False},
    ),
    "two tables": (TINY, SMALL | {"blocks": ((2, 64), (1, 96), (2, 48)), "two_tables": True}),
    "two tables in some blocks": (
        TINY,
        SMALL
        | {"blocks": ((1, 16), (1, 64), (2, 48), (1, 16), (1, 16), (1, 64)), "two_tables": True},
    ),
    "two tables, hidden activations of one tile at a time": (
        replace(TINY, activation_words=36, weight_words=200),
        WIDE_MLP | {"two_tables": True, "output": "tokens"},
    ),
    "a norm in front": (TINY, SMALL | {"front": True}),
    "a norm in front, registers in tiles of their own, padded width": (
        TINY,
        SMALL | {"width": 40, "registers": 9, "front": True},
    ),
    "a norm in front, ring smaller than a layer": (
        SHORT_RING,
        SMALL | {"blocks": ((2, 100),) * 2, "width": 48, "front": True, "bits8_fraction": 1.0},
    ),
    "a norm in front on zcu102, tokens": (
        ZCU102,
        WIDE32 | {"blocks": ((2, 64),), "output": "tokens", "pool": "mean", "front": True},
    ),
    "attention pooling": (TINY, SMALL | {"output": "tokens", "pool": "attention"}),
    "attention pooling, padded heads across row tiles, a beat of two words": (
        BEAT_OF_TWO,
        ODD_TOKENS | {"pool": "attention", "two_tables": True, "bits8_fraction": 0.6},
    ),
    "attention pooling of patches alone, on zcu102": (
        ZCU102,
        WIDE32
        | {
            "blocks": ((2, 64),) * 2,
            "output": "tokens",
            "pool": "attention",
            "class_token": False,
            "front": True,
        },
    ),
    "attention pooling and nothing else, one group of keys at a time": (
        FEW_KEYS,
        HEAD32 | {"blocks": ((3, 32),), "output": "tokens", "pool": "attention"},
    ),
    "selection": (SELECTING, FINE | {"blocks": ((2, 64),) * 3, "keep": {0: 9, 1: 6}}),
    "selection, tokens that say which they are": (
        SELECTING,
        FINE | {"blocks": ((2, 64),) * 3, "keep": {0: 9, 1: 6}, "output": "tokens", "pool": "all"},
    ),
    "selection, keep 1 and keep all": (
        SELECTING,
        FINE | {"blocks": ((3, 32),) * 4, "keep": {0: 16, 1: 1, 2: 1}},
    ),
    "selection of a single patch": (
        SELECTING,
        SMALL | {"patch": 28, "keep": {0: 1}, "blocks": ((1, 16),) * 2},
    ),
    "selection, one group of keys at a time, registers, tokens": (
        replace(FEW_KEYS, key_words=12, value_words=18, select_tokens=256),
        HEAD32
        | {
            "blocks": ((3, 32),) * 3,
            "keep": {1: 5},
            "registers": 6,
            "output": "tokens",
        },
    ),
    "selection, padded heads, ring smaller than a layer": (
        replace(SHORT_RING, select_tokens=256),
        FINE | {"head_dim": 12, "blocks": ((3, 40), (1, 20), (2, 33)), "keep": {0: 7, 1: 3}},
    ),
    "selection, hidden activations of one tile at a time": (
        replace(FEW_HIDDEN, activation_words=40, select_tokens=256),
        WIDE_MLP | {"keep": {0: 11}},
    ),
    "selection of codes of 8 bits, four slots": (
        replace(SELECTING, act_bits=8, score_slots=4),
        FINE | {"act_bits": 8, "blocks": ((4, 32), (1, 32)), "keep": {0: 10}},
    ),
    "selection on zcu102": (
        replace(ZCU102, select_tokens=256),
        WIDE32
        | {"image": (56, 56, 1), "patch": 7, "blocks": ((2, 64),) * 3, "keep": {0: 40, 1: 17}},
    ),
    "selection, logits in parts over tokens": (
        replace(SELECTING, residual_words=5),
        SMALL | {"classes": 300, "keep": {0: 2}},
    ),
    "logits in parts": (replace(TINY, residual_words=20), SMALL | {"classes": 300}),
    "logits in parts, one place": (replace(TINY, residual_words=12), SMALL | {"classes": 300}),
    "logits in parts, over tokens": (replace(TINY, residual_words=5), SMALL | {"classes": 300}),
    "logits in parts of the largest STORE": (TINY, SMALL | {"classes": 5000}),
}
