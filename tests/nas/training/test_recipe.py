"""The configuration of training: its key, its file form, what it refuses."""

from dataclasses import asdict, replace

import pytest

from nas import digits
from nas.training import recipe
from nas.warm.source import NetworkSource


def test_key_depends_on_configuration_recipe_and_data(tiny_config, tiny_data, monkeypatch):
    train, validation = tiny_data.train, tiny_data.validation
    others = [
        {"train": validation},
        {"train": replace(train, labels=train.labels.flip(0))},
        {"validation": train},
        {"validation": replace(validation, labels=validation.labels.flip(0))},
        {"class_names": ("a", "b", "c")},
        {"preprocessing": replace(tiny_data.preprocessing, invert=True)},
    ]
    keys = {tiny_config.key(tiny_data), replace(tiny_config, batch=16).key(tiny_data)}
    keys |= {tiny_config.key(replace(tiny_data, **other)) for other in others}
    monkeypatch.setattr(recipe, "RECIPE", recipe.RECIPE + 1)
    keys.add(tiny_config.key(tiny_data))
    assert len(keys) == 3 + len(others)


def test_kept_supernets_of_the_digits_stay_valid():
    """Anew where RECIPE rises; a new option must not change it."""
    assert recipe.RECIPE == 5
    config, images = digits.recipe(), digits.load_digits()
    assert config.key(images)[:12] == "a7b2f0ecf98c"
    alone = replace(config, alone=config.supernet.space.smallest())
    assert alone.key(images)[:12] == "7d521453d0b8"


def test_other_recipes_have_other_keys(tiny_config, tiny_data):
    switched = replace(tiny_config.supernet, switched_gains=True)
    pooled = replace(tiny_config.supernet, space=replace(tiny_config.supernet.space, pool="mean"))
    space = replace(tiny_config.supernet.space, keeps=(0.5,))
    keeping = replace(tiny_config.supernet, space=space)
    others = [
        {"sort_channels": False},
        {"chained": True},
        {"elastic_epochs": 1},
        {"mixup": 0.8},
        {"cutmix": 1.0},
        {"drop_path": 0.1},
        {"clip_grad": 1.0},
        {"supernet": switched},
        {"supernet": pooled},
        {"supernet": keeping},
        {"supernet": keeping, "alone": space.smallest()},
        {"augmentation": replace(tiny_config.augmentation, erasing=0.2)},
    ]
    keys = {replace(tiny_config, **other).key(tiny_data) for other in others}
    assert len(keys | {tiny_config.key(tiny_data)}) == 13


@pytest.mark.parametrize("epochs", [-1, 3])
def test_config_refuses_elastic_epochs_beyond_the_float_stage(tiny_config, epochs):
    with pytest.raises(ValueError, match=f"elastic_epochs must be 0 ... 2, .*not {epochs}"):
        replace(tiny_config, float_epochs=2, elastic_epochs=epochs)


def test_config_refuses_no_epochs(tiny_config):
    with pytest.raises(ValueError, match="float_epochs must be at least 1, not 0"):
        replace(tiny_config, float_epochs=0)


def test_a_start_counts_by_its_content(tiny_config, tiny_data):
    one = NetworkSource("a", sha256="1" * 64)
    moved, other = replace(one, name="b", checkpoint="c"), replace(one, sha256="2" * 64)
    keys = [replace(tiny_config, start=each).key(tiny_data) for each in (None, one, moved, other)]
    assert keys[0] == tiny_config.key(tiny_data)
    assert keys[1] == keys[2] and len(set(keys)) == 3


def test_a_start_needs_no_float_stage(tiny_config):
    started = replace(tiny_config, start=NetworkSource("a"), float_epochs=0)
    assert started.shortened().float_epochs == 0
    with pytest.raises(ValueError, match="quantized_epochs must be at least 1, not 0"):
        replace(started, quantized_epochs=0)


def test_a_kept_configuration_has_the_same_key(tiny_config, tiny_data):
    """Also one that was kept before there were some of the options."""
    config = replace(tiny_config, teacher=NetworkSource("a", sha256="1" * 64))
    values = asdict(config)
    assert recipe.key_of(values, tiny_data) == config.key(tiny_data)
    del values["chained"], values["supernet"]["epsilon"]
    assert recipe.key_of(values, tiny_data) == config.key(tiny_data)
    assert values["teacher"]["name"] == "a", "not changed"
