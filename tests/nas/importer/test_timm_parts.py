"""Modules of timm's models. What is refused is in tests/nas/cost/test_timm_models.py."""

import pytest

from nas.importer.timm_parts import build, refuse
from rtl.errors import UserError


def test_a_model_is_built_without_memory_for_its_sizes():
    model = build("vit_tiny_patch16_224", 3, 32, device="meta")
    assert (model.num_classes, model.pos_embed.shape) == (3, (1, 5, 192))
    assert model.pos_embed.is_meta


@pytest.mark.parametrize("arguments", [{"colour": "red"}, {"global_pool": "sum"}])
def test_arguments_that_timm_refuses(arguments):
    with pytest.raises(UserError, match=r"timm cannot build 'vit_tiny_patch16_224' with \{"):
        build("vit_tiny_patch16_224", None, None, **arguments)


def test_several_parts_are_named_together():
    model = build("vit_tiny_patch16_224", None, None, "meta", final_norm=False, qk_norm=True)
    with pytest.raises(UserError) as error:
        refuse("mine", model)
    assert str(error.value) == (
        "timm model 'mine' has what the engine has not: a norm of queries and keys,"
        " no final LayerNorm"
    )
