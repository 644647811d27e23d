"""The report of a model: what it says at its head, and what stands for quality."""

import pytest

from nas.cost import HardwareTarget
from nas.evaluate.report import model_report, quality_of, report_beside
from nas.report.content import Network
from nas.report.page import page
from sim.random_model import random_model
from tests.nas.evaluate.models import network, quantized
from tests.nas.quantize.networks import random_images

TOP = {
    "integer": 0.9, "integer_interval": [0.8, 0.95], "float": 0.92, "difference": -0.02,
    "difference_interval": [-0.05, 0.01],
}  # fmt: skip
EVALUATION = {
    "images": 50, "top1": TOP, "agreement": 0.97, "agreement_interval": [0.9, 0.99],
    "likeness": {"features": {"relative_error": 0.1, "cosine": 0.995}},
}  # fmt: skip


@pytest.fixture(scope="module")
def hardware():
    return HardwareTarget.load("sim")


def test_facts(hardware):
    model = random_model()
    found = model_report("a.pulsar", model, hardware, data="photos", evaluation=EVALUATION)
    facts = {fact.name: (fact.value, fact.remark) for fact in found.facts}
    assert facts["accuracy"] == ("90.0 %", "80.0 % to 95.0 %, 95 %")
    assert facts["minus the float network"] == ("-2.0 points", "-5.0 to +1.0, 95 %")
    assert facts["cosine of tokens"] == ("0.9950", "relative error 0.100")
    cycles = found.networks[0].estimate
    assert cycles and facts["cycles per image"][0] == f"{cycles.cycles:,.0f}"
    assert "50 images: photos" in found.lead and model.hash[:16] in found.lead


@pytest.mark.parametrize(
    ("missing", "name", "value", "reference"),
    [
        ((), "accuracy", 0.9, 0.92),
        (("top1",), "agreement", 0.97, None),
        (("top1", "agreement"), "cosine", 0.995, 1.0),
    ],
)
def test_what_stands_for_quality(hardware, missing, name, value, reference):
    evaluation = EVALUATION | dict.fromkeys(missing)
    model = random_model(bits8_fraction=0.5)
    found = quality_of("a", Network.of("a", model, hardware), evaluation)
    assert found and (found.name, found.points[0].value, found.reference) == (
        name, value, reference,
    )  # fmt: skip
    least, most = found.marks.values()
    assert list(found.marks) == ["4 bits", "8 bits"]
    assert least < found.points[0].cycles < most


def test_an_engine_of_other_codes_shows_no_cycles(hardware):
    model = random_model(act_bits=8)
    found = model_report("a", model, hardware, data="d", evaluation=EVALUATION)
    assert found.quality is None and found.networks[0].refusal
    assert "cycles per image" not in {fact.name for fact in found.facts}
    assert "The engine refuses the network: model has act_bits 8" in page(found)


def test_a_model_beside_its_float_network(hardware):
    exact = network()
    model = quantized(exact)
    found = report_beside("a.pulsar", model, exact, None, hardware, random_images(12), "noise")
    assert found.measured["agreement"] > 0.5 and found.measured["images"] == 12
    assert found.noise and found.noise["images"] == 8
    assert len(found.pictures) == 6
    assert {"Error budget", "Images and answers"} <= set(page(found).replace("<", ">").split(">"))
