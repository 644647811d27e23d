"""The configuration of training: its key, its file form, what it refuses."""

from dataclasses import replace

import pytest

from nas.training import recipe


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


def test_config_refuses_no_epochs(tiny_config):
    with pytest.raises(ValueError, match="float_epochs must be at least 1, not 0"):
        replace(tiny_config, float_epochs=0)
