"""When importance is added and places are known, and who waits for that."""

from dataclasses import replace

import pytest

from rtl.compiler.operations import Operation, Subject
from rtl.config import TINY, ZCU102
from rtl.isa.instructions import Destination, Opcode, Weights
from rtl.timing import UnitLatencies
from rtl.timing.latencies import unit_latencies
from rtl.timing.selection import SelectionTiming
from rtl.timing.units import MatmulTiming, SoftmaxTiming
from rtl.vector.importance import ImportanceRows
from rtl.vector.selection import TokenSelection

ENGINE, LATENCIES = replace(TINY, select_tokens=256), UnitLatencies()
SELECT = {"patches": 196, "keep": 143, "others": 1}
SOFTMAX = {"key_words": 13, "keys": 197, "lane_first": 0, "lane_count": 4}
ROW = SOFTMAX | {"importance": 1}
LAST, ADDING = 52, 50 + LATENCIES.importance  # cycles of a softmax, of the keys of its row


@pytest.fixture
def selection():
    return SelectionTiming(ENGINE, LATENCIES)


@pytest.fixture
def softmax(selection):
    return SoftmaxTiming(ENGINE, LATENCIES, selection)


def execute(unit, opcode, taken, **operands):
    operation = Operation(opcode, operands, (), (), Subject("", "", ""))
    return unit.execute(unit.cost(operation), taken)


@pytest.mark.parametrize("base", [TINY, ZCU102])
@pytest.mark.parametrize("patches, others", [(1, 1), (196, 1), (256, 5)])
def test_a_select_takes_the_cycles_of_the_rtl(base, patches, others):
    """Until the cycle in which it lets others begin, which is one more."""
    engine = replace(base, select_tokens=256)
    timing = SelectionTiming(engine, unit_latencies(engine))
    operands = {"patches": patches, "others": others}
    assert timing.select_cycles(operands) == 1 + TokenSelection.cycles(engine, patches, others)


@pytest.mark.parametrize("keys", [2, 17, 197, 300])
def test_a_row_takes_the_cycles_of_the_rtl(keys):
    timing = SelectionTiming(ENGINE, unit_latencies(ENGINE))
    assert timing.row_cycles(ROW | {"keys": keys}) == ImportanceRows.cycles(ENGINE, keys)


def test_a_row_is_added_once_its_sum_is_known(softmax, selection):
    """The unit is free meanwhile; 197 keys, four a cycle."""
    assert execute(softmax, Opcode.SOFTMAX, 10, **ROW) == 10 + LAST + LATENCIES.softmax_done
    assert softmax.free == 10 + LAST + 1
    assert selection.added[-1] == 10 + LAST + LATENCIES.softmax_landed + ADDING
    execute(softmax, Opcode.SOFTMAX, 100, **SOFTMAX)
    assert selection.added[-1] == 10 + LAST + LATENCIES.softmax_landed + ADDING


def test_keys_beyond_those_that_are_selected_from_are_not_added(selection):
    assert selection.row_cycles(ROW | {"keys": 300}) == 64 + LATENCIES.importance
    assert selection.row_cycles(SOFTMAX) == 0


def test_two_rows_wait_to_be_added(softmax, selection):
    """Of three short ones the third is not taken until the first has been added."""
    short = ROW | {"key_words": 1}
    for taken in (10, 15):
        execute(softmax, Opcode.SOFTMAX, taken, **short)
    first, second = selection.added
    assert second - first == ADDING and softmax.free == 15 + 4 + 1
    execute(softmax, Opcode.SOFTMAX, softmax.free, **short)
    assert softmax.free == first + 1 + 4 + 1


def test_select_is_a_beat_and_goes_on_beside_the_unit(softmax, selection):
    execute(softmax, Opcode.SOFTMAX, 10, **ROW)
    added = selection.added[-1]
    assert execute(softmax, Opcode.SELECT, 63, **SELECT) == 63 + 1 + LATENCIES.softmax_done
    assert softmax.free == 63 + 2
    assert selection.over == added + 1 + selection.select_cycles(SELECT)
    assert execute(softmax, Opcode.SOFTMAX, 65, **SOFTMAX) == 65 + LAST + LATENCIES.softmax_done


def test_places_are_waited_for(softmax, selection):
    """By rows, the next SELECT and MATMULs to KEPT; by no others."""
    execute(softmax, Opcode.SELECT, 5, **SELECT)
    over = selection.over
    assert execute(softmax, Opcode.SOFTMAX, 20, **ROW) == over + LAST + LATENCIES.softmax_done
    matmul = {"weights": Weights.RING, "depth_words": 3, "row_tiles": 1, "lane_first": 0}
    ends = {}
    for destination in (Destination.RESIDUAL, Destination.KEPT):
        unit = MatmulTiming(ENGINE, LATENCIES, selection)
        operands = matmul | {"lane_count": 4, "destination": destination}
        ends[destination] = execute(unit, Opcode.MATMUL, 20, **operands)
    assert ends[Destination.KEPT] - ends[Destination.RESIDUAL] == over - 20
