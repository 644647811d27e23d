"""Search space: encodings are inverse to each other, shapes follow the tile order."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nas.digits import DIGITS
from nas.space import Arch, bits8_tiles
from rtl.model.shape import LAYERS


def archs(count: int, seed: int = 0) -> list[Arch]:
    rng = np.random.default_rng(seed)
    return [DIGITS.sample(rng) for _ in range(count)]


def test_arch_survives_json():
    for arch in archs(20):
        assert Arch.from_json(json.loads(json.dumps(arch.to_json()))) == arch
    assert len({*archs(20), *archs(20)}) == len(set(archs(20)))


def test_arch_json_names_the_missing_key():
    data = DIGITS.largest().to_json()
    del data["blocks"][0]["heads"]
    with pytest.raises(ValueError, match=r"blocks.0.heads\s+Field required"):
        Arch.from_json(data)


def test_encode_and_decode_are_inverse():
    for arch in archs(50):
        genes = DIGITS.encode(arch)
        assert DIGITS.decode(genes) == arch
        assert ((genes >= 0) & (genes < DIGITS.gene_choices)).all()


def test_decode_covers_the_space():
    lowest = np.zeros(len(DIGITS.gene_choices), dtype=int)
    assert DIGITS.decode(lowest) == DIGITS.smallest()
    assert DIGITS.decode(np.array(DIGITS.gene_choices) - 1) == DIGITS.largest()


def test_encode_refuses_foreign_values():
    foreign = replace(DIGITS, widths=(40,)).largest()
    with pytest.raises(ValueError, match=r"width must be one of \(32, 48, 64\), not 40"):
        DIGITS.encode(foreign)


def test_uniform_subnets_choose_once_for_all_blocks():
    found = DIGITS.uniform()
    assert len(set(found)) == len(found) == 3**5
    assert all(len(set(arch.blocks)) == 1 for arch in found)
    assert {DIGITS.smallest(), DIGITS.largest()} <= set(found)


def test_sample_is_seeded_and_can_fix_the_width():
    assert archs(10, seed=3) == archs(10, seed=3)
    rng = np.random.default_rng(0)
    assert {DIGITS.sample(rng, width=48).width for _ in range(10)} == {48}


def test_mutation_and_crossover_stay_in_the_space():
    rng = np.random.default_rng(1)
    for a, b in zip(archs(30, 1), archs(30, 2), strict=True):
        DIGITS.encode(DIGITS.mutate(a, rng))  # refuses what is outside
        child = DIGITS.crossover(a, b, rng)
        DIGITS.encode(child)
        for i, block in enumerate(child.blocks):
            assert block in a.blocks[i : i + 1] + b.blocks[i : i + 1]


def test_shape_has_the_sizes_of_the_arch():
    arch = DIGITS.largest(fraction=0.5)
    shape = DIGITS.shape(arch, {"blocks.0.fc1": tuple(reversed(range(16)))})
    assert shape.tokens == 17 and shape.width == 64 and len(shape.blocks) == 4
    bits8 = dict(shape.blocks[0].bits8)
    assert tuple(bits8) == LAYERS
    assert bits8["fc1"] == (False,) * 8 + (True,) * 8
    assert bits8["q"] == (True, True, False, False)
    assert shape.head_bits8 == (True,)
    for layer, (rows, _) in shape.layer_sizes(0).items():
        assert len(bits8[layer]) == shape.row_tiles(rows)


def test_bits8_tiles_rounds_up_and_ranks():
    assert bits8_tiles(3, 0.5) == (True, True, False)
    assert bits8_tiles(10, 0.1).count(True) == 1
    assert bits8_tiles(4, 0.5, order=(5, 2, 0, 1, 3, 4)) == (True, False, True, False)
    assert bits8_tiles(2, 0.0) == (False, False)
    with pytest.raises(ValueError, match="must rank all of 3 tiles, not 2"):
        bits8_tiles(3, 0.5, order=(0, 1))


def test_space_refuses_what_does_not_fit():
    with pytest.raises(
        ValueError, match=r"widths must be a rising list of choices, not \(64, 32\)"
    ):
        replace(DIGITS, widths=(64, 32))
    with pytest.raises(ValueError, match=r"image \(28, 28\) must be a multiple of patch 5"):
        replace(DIGITS, patch=5)
    with pytest.raises(ValueError, match=r"fractions must lie in 0 ... 1, not \(0.0, 2.0\)"):
        replace(DIGITS, fractions=(0.0, 2.0))
    with pytest.raises(ValueError, match=r"pool must be one of \('token', 'mean'\), not 'max'"):
        replace(DIGITS, pool="max")


def test_a_head_on_the_mean_needs_no_class_token():
    shape = replace(DIGITS, pool="mean").shape(DIGITS.largest())
    assert shape.mean_pool and shape.tokens == shape.patches == 16


KEEPING = replace(DIGITS, patch=4, keeps=(0.5, 0.7))  # 49 patches


def keeps_of(arch: Arch) -> list[float | None]:
    return [block.keep for block in arch.blocks]


def test_a_space_without_keeps_has_no_such_gene():
    assert len(KEEPING.gene_choices) == len(DIGITS.gene_choices) + DIGITS.depths[-1]
    assert "keep" not in json.dumps(DIGITS.largest().to_json())
    with pytest.raises(ValueError, match=r"keep must be one of \(None,\), not 0.5"):
        DIGITS.encode(KEEPING.smallest())


def test_keep_is_a_gene_of_every_block_but_the_last():
    smallest, largest = KEEPING.smallest(), KEEPING.largest()
    assert keeps_of(smallest) == [0.5, None] and set(keeps_of(largest)) == {None}
    assert KEEPING.decode([0] * len(KEEPING.gene_choices)) == smallest
    assert KEEPING.decode(np.array(KEEPING.gene_choices) - 1) == largest
    rng = np.random.default_rng(0)
    sampled = [KEEPING.sample(rng) for _ in range(50)]
    assert {keep for arch in sampled for keep in keeps_of(arch)[:-1]} == {0.5, 0.7, None}
    assert {arch.blocks[-1].keep for arch in sampled} == {None}
    for arch in sampled:
        assert Arch.from_json(json.loads(json.dumps(arch.to_json()))) == arch
        assert KEEPING.decode(KEEPING.encode(arch)) == arch


def test_active_genes_are_those_that_change_the_arch():
    arch = KEEPING.smallest()
    genes, active = KEEPING.encode(arch), KEEPING.active_genes(arch.depth)
    changed = []
    for gene in range(len(genes)):
        other = genes.copy()
        other[gene] = 0 if genes[gene] else 1
        if KEEPING.decode(other) != arch:
            changed.append(gene)
    assert changed == active.tolist()
    assert DIGITS.active_genes(2).tolist() == list(range(4 + 2 * 8))


def test_mutation_and_crossover_choose_keeps():
    rng, mutated, children = np.random.default_rng(1), set(), set()
    smallest, largest = KEEPING.smallest(), KEEPING.largest()
    for _ in range(30):
        arch = KEEPING.mutate(largest, rng)
        KEEPING.encode(arch)
        mutated |= set(keeps_of(arch)[:-1])
        children.add(tuple(keeps_of(KEEPING.crossover(smallest, largest, rng))))
    assert mutated == {0.5, 0.7, None}
    assert {(0.5, None), (0.5, None, None, None), (None,) * 4} <= children


def test_uniform_subnets_keep_alike_in_all_blocks_but_the_last():
    found = KEEPING.uniform()
    assert len(set(found)) == len(found) == 3**6
    assert all(len(set(keeps_of(arch)[:-1])) == 1 for arch in found)
    single = replace(KEEPING, depths=(1,)).uniform()
    assert len(single) == 3**4  # without a choice


def test_numbers_of_patches_that_are_not_left_drop_nothing():
    space = replace(DIGITS, patch=4, keeps=(24, 35))
    arch = space.largest()
    keeps = 24, 35, 24, None
    blocks = tuple(replace(b, keep=k) for b, k in zip(arch.blocks, keeps, strict=True))
    given = replace(arch, blocks=blocks)
    assert keeps_of(space.decode(space.encode(given))) == [24, None, None, None]
    assert space.kept(given) == [24, None, None, None]


def test_the_shape_has_the_patches_that_stay():
    arch = KEEPING.decode([2] * len(KEEPING.gene_choices))  # keeps all
    assert [block.keep for block in KEEPING.shape(arch).blocks] == [None] * 4
    genes = KEEPING.encode(arch)
    genes[12], genes[30] = 1, 0  # keeps of blocks 0 and 2
    shape = KEEPING.shape(KEEPING.decode(genes))
    assert [block.keep for block in shape.blocks] == [35, None, 18, None]
    assert [shape.tokens_in(block) for block in range(5)] == [50, 36, 36, 19, 19]


def test_the_smallest_share_keeps_one_patch():
    space = replace(KEEPING, keeps=(1e-5,))
    assert space.kept(space.smallest()) == [1, None]


def test_a_subnet_that_selects_if_any_does():
    space = replace(KEEPING, depths=(1, 3))
    assert space.kept(space.smallest()) == [None]
    found = space.most_selecting()
    assert space.kept(found) == [25, 13, None]
    assert replace(found, blocks=found.blocks[-1:]) == space.smallest()
    assert space.kept(replace(KEEPING, depths=(1,)).most_selecting()) == [None]


def test_keeps_need_a_class_token():
    with pytest.raises(ValueError, match=r"keeps must be \(\) with pool 'mean', not \(0.5, 0.7\)"):
        replace(KEEPING, pool="mean")
