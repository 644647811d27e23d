"""A network on a board, whether the engine runs it or not."""

from nas.cost import HardwareTarget
from nas.report.content import Network
from sim.random_model import random_model


def test_costs_are_those_of_the_engines_row_tiles():
    hardware = HardwareTarget.load("sim")
    model = random_model(row_granularity=8)
    network = Network.of("a", model, hardware)
    assert network.refusal == "" and network.estimate is not None
    assert network.shape.row_granularity == hardware.engine.row_lanes == 16
    assert network.estimate.cycles > 1_000


def test_an_engine_that_refuses_it_is_named():
    model = random_model(act_bits=8)
    network = Network.of("a", model, HardwareTarget.load("sim"))
    assert (network.estimate, network.shape) == (None, model.shape)
    assert network.refusal == "model has act_bits 8, engine 'tiny' 6"
