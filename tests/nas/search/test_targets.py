"""Frame rates: the default ones can be reached, impossible ones are refused."""

import re
from dataclasses import replace

import pytest

from nas.cost import ExactCosts, HardwareTarget, ImageCost
from nas.digits import DIGITS, KEEPING_DIGITS
from nas.search.options import SearchOptions
from nas.search.targets import default_targets, fastest_rate, require_reachable
from rtl.errors import UserError
from tests.nas.search.runs import prepared, run


def test_an_impossible_target_says_what_is_possible(runs, capsys):
    assert run(runs, "--name", "fast", "--targets", "1000000") == 2
    text = capsys.readouterr().err
    pattern = (
        r"error: no subnet reaches 1e\+06 frames per second on board 'sim':"
        r" the fastest takes ([\d,]+) cycles, (\d+) frames per second; what binds: memory [\d.]+%,"
    )
    found = re.search(pattern, text)
    assert found, text
    cycles, rate = found.groups()
    assert int(rate) <= 100e6 / int(cycles.replace(",", "")) < int(rate) * 1.1
    assert not (runs / "fast").exists()


def test_default_targets_can_be_reached(runs):
    setup = prepared(SearchOptions(out=runs))
    assert len(setup.targets) == 3 and list(setup.targets) == sorted(setup.targets)
    assert setup.targets == default_targets(setup.engines[0], setup.space, ExactCosts())


def test_default_targets_are_within_reach_of_the_smallest_subnet(monkeypatch):
    """Even if all random subnets are faster."""
    hardware = HardwareTarget.load("sim")
    fast = ImageCost(cycles=1, array_cycles=1, memory_bytes=1, scratchpad_bytes=1)
    monkeypatch.setattr(ExactCosts, "of", lambda self, hardware, shapes: [fast] * len(shapes))
    expected = (fastest_rate(hardware, DIGITS),)
    assert default_targets(hardware, DIGITS, ExactCosts()) == expected


@pytest.mark.parametrize("depths", [(1, 2), (2,)])
def test_an_engine_without_selection_is_refused_for_a_space_with_keeps(depths):
    """Even if the smallest subnet has one block, which keeps all patches."""
    space = replace(KEEPING_DIGITS, depths=depths)
    for ask in (
        lambda hardware: default_targets(hardware, space, ExactCosts()),
        lambda hardware: require_reachable([1.0], hardware, space),
    ):
        ask(HardwareTarget.load("sim", "tiny_select"))
        with pytest.raises(UserError, match=r"blocks.0 keeps 11 of 49 patches: engine 'tiny' sel"):
            ask(HardwareTarget.load("sim"))


def test_choices_without_effect_need_no_selection():
    single = replace(KEEPING_DIGITS, depths=(1,))
    require_reachable([1.0], HardwareTarget.load("sim"), single)


def test_a_memory_that_holds_no_subnet_is_refused():
    whole = HardwareTarget.load("sim")
    memory = whole.board.memory.model_copy(update={"capacity_bytes": 10_000})
    hardware = replace(whole, board=whole.board.model_copy(update={"memory": memory}))
    for ask in (
        lambda: default_targets(hardware, DIGITS, ExactCosts()),
        lambda: require_reachable([1.0], hardware, DIGITS),
    ):
        with pytest.raises(UserError, match=r"does not fit the memory of board 'sim': model and"):
            ask()
