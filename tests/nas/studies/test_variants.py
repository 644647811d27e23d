"""Variants: what each changes, and nothing else."""

import torch

from nas.quantize.scales import DEFAULT_QUANTIZERS
from nas.studies.variants import ATTENTION, HIDDEN, KINDS, NORM, variants

SAMPLE = [torch.rand(1, 2, 9, 9, generator=torch.Generator().manual_seed(0)).softmax(-1)] * 3


def test_a_variant_changes_its_kind_alone():
    for variant in variants(6):
        for found in variant.quantizers(SAMPLE):
            for kind in KINDS:
                same = getattr(found, kind) is getattr(DEFAULT_QUANTIZERS, kind)
                changes = kind == variant.kind and bool(variant.choice or variant.tables)
                assert same != changes, variant.name
        assert len(variant.quantizers(SAMPLE)) == len(SAMPLE)


def test_each_part_has_a_baseline_in_front():
    parts = [(variant.kind, variant.rotate) for variant in variants(6) if variant.baseline]
    assert parts == [(NORM, True), (NORM, False), (HIDDEN, True), (ATTENTION, True)]
    seen = set()
    for variant in variants(6):
        part = variant.kind, variant.rotate
        assert variant.baseline == (part not in seen)
        seen.add(part)


def test_logarithms_do_not_run():
    for variant in variants(6):
        uniform = variant.name.startswith(("one scale", "power", "uniform"))
        assert variant.runs == (uniform and variant.name != "uniform, rounded"), variant.name


def test_tables_have_the_bits():
    for bits in (4, 6):
        for variant in variants(bits):
            assert all(len(table.levels) == 1 << bits for table in variant.tables)
            assert (variant.kind == ATTENTION) >= bool(variant.tables)
            assert (variant.kind == HIDDEN) >= (variant.gelu_tables == 1)
