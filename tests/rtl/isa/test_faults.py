# amaranth: UnusedElaboratable=no
"""The first of several faults; a fault without a number is the unit's latest instruction's."""

import itertools

import pytest
from amaranth.hdl import Const, Value

from rtl.isa.faults import FETCH, Fault, FaultCode, FirstFault, fault
from rtl.isa.instructions import Unit
from tests.rtl.simulation import simulate


@pytest.mark.parametrize("sources", [1, 2, 3])
def test_the_first_source_wins(sources):
    dut = FirstFault(sources)

    async def bench(ctx):
        for valid in itertools.product((0, 1), repeat=sources):
            for index, source in enumerate(dut.sources):
                ctx.set(source, {"valid": valid[index], "number": 10 + index})
            await ctx.tick()
            assert ctx.get(dut.o.valid) == any(valid)
            if any(valid):
                assert ctx.get(dut.o.number) == 10 + valid.index(1)

    simulate(dut, bench)


@pytest.mark.parametrize("number", [None, 0, 77])
def test_fields_of_a_fault(number):
    bits = Const.cast(fault(1, FaultCode.WRITE, FETCH, number))
    view = Fault.from_bits(bits.value)
    assert (view.valid, view.code, view.unit) == (1, FaultCode.WRITE, FETCH)
    assert (view.number, view.latest) == ((0, 1) if number is None else (number, 0))


def test_a_fault_fills_its_structure():
    assert len(Value.cast(fault(0, FaultCode.NONE, Unit.LOAD, 0))) == Fault.as_shape().size
