"""Small integer models, with the class token and with the mean."""

import pytest

from sim.random_model import random_model
from tests.rtl.model.files import SIZES


@pytest.fixture(scope="module")
def model():
    return random_model(**SIZES, seed=1)


@pytest.fixture(scope="module")
def pooled():
    """The mean of four patches, without class token."""
    return random_model(**SIZES, pool="mean", class_token=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.pulsar"
