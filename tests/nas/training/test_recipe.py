"""The configuration of training: its key, its file form, what it refuses."""

from dataclasses import replace

import pytest

from nas.training import recipe


def test_key_depends_on_configuration_recipe_and_images(tiny_config, tiny_data, monkeypatch):
    keys = {
        tiny_config.key(tiny_data),
        replace(tiny_config, batch=16).key(tiny_data),
        tiny_config.key(replace(tiny_data, train=tiny_data.validation)),
    }
    monkeypatch.setattr(recipe, "RECIPE", recipe.RECIPE + 1)
    keys.add(tiny_config.key(tiny_data))
    assert len(keys) == 4


def test_config_refuses_no_epochs(tiny_config):
    with pytest.raises(ValueError, match="float_epochs must be at least 1, not 0"):
        replace(tiny_config, float_epochs=0)
