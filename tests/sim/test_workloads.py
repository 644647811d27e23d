"""Networks of DeiT's shapes and cuts of photographs."""

from dataclasses import replace
from pathlib import Path

from rtl.compiler import plan
from rtl.config import ZCU102
from rtl.model import IntegerModel
from rtl.timing.bound import least_array_cycles
from sim import workloads

DIGITS = Path(__file__).parents[2] / "examples" / "digits.pulsar"


def test_named_models_have_the_shape_and_the_fraction():
    model = workloads.deit("deit_tiny", ZCU102, bits8=0.25)
    assert least_array_cycles(plan(model.shape, ZCU102)) == 185_880
    assert 0.25 <= workloads.bits8_fraction(model.shape) < 0.3


def test_named_models_keep_some_patches():
    model = workloads.deit("deit_tiny", ZCU102, keep="3:143,6:107,9:71")
    assert model.shape.keep == {3: 143, 6: 107, 9: 71}
    dense, kept = (least_array_cycles(plan(shape, engine)) for shape, engine in (
        (workloads.deit("deit_tiny", ZCU102).shape, ZCU102),
        (model.shape, replace(ZCU102, select_tokens=256)),
    ))  # fmt: skip
    assert (dense, kept) == (153_096, 105_372)


def test_photographs_differ_and_fit():
    model = IntegerModel.load(DIGITS)
    images = workloads.photographs(model, 4)
    assert images.shape == (4, 28, 28, 1) and images.dtype == "uint8"
    assert len({image.tobytes() for image in images}) == 4
