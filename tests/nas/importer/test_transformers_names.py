"""Tables of families: complete, and each family in one of them."""

from nas.importer.network import ACTIVATIONS as KINDS
from nas.importer.transformers_names import ACTIVATIONS, FAMILIES, NOT_READ, REASONS

REQUIRED = {"norm1", "q", "k", "v", "proj", "norm2", "fc1", "fc2"}


def test_every_family_names_all_parts_of_a_block():
    for kind, names in FAMILIES.items():
        scales = names.block.keys() - REQUIRED
        assert names.block.keys() >= REQUIRED, kind
        assert scales == ({"scale1", "scale2"} if kind.startswith("dinov2") else set()), kind
        assert len(set(names.block.values())) == len(names.block), kind
        assert names.usual["hidden_act"] in ACTIVATIONS, kind
        assert (names.front is not None) == kind.startswith("clip"), kind


def test_a_family_runs_or_has_a_reason_why_not():
    assert not FAMILIES.keys() & REASONS.keys()
    assert not {*NOT_READ} & (FAMILIES.keys() | REASONS.keys())
    assert set(ACTIVATIONS.values()) == set(KINDS)
