# amaranth: UnusedElaboratable=no
"""Connections check shapes; fork, skid buffer and queue hand on each transfer once, in order."""

import random

import pytest
from amaranth.hdl import Fragment, Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.lib.streams import Queue, Skid, connect, fork
from tests.rtl.simulation import simulate


class Pair(data.Struct):
    low: 4
    high: signed(4)


def ends(given, taken):
    """Outputs of a producer and inputs of a consumer, as their owners' neighbours see them."""
    producer = stream.Signature(given).create(path=("words", "o"))
    consumer = stream.Signature(taken).flip().create(path=("queue", "i"))
    return {"producer": producer, "consumer": consumer}


def assignments(**of):
    """Count what a connection assigns: payload, valid and ready."""
    m = Module()
    connect(m, **of)
    return len(Fragment.get(m, None).statements["comb"])


@pytest.mark.parametrize("shape", [unsigned(6), signed(6), Pair, data.ArrayLayout(Pair, 2)])
def test_equal_shapes_connect(shape):
    assert assignments(**ends(shape, shape)) == 3


def test_a_structure_connects_with_its_own_layout():
    layout = data.StructLayout({"low": 4, "high": signed(4)})
    assert assignments(**ends(Pair, layout)) == 3


@pytest.mark.parametrize(
    ("given", "taken", "names"),
    [
        (unsigned(6), signed(6), r"'words__o__payload', unsigned\(6\), .*'queue__i__payload', sig"),
        (Pair, data.StructLayout({"low": 4, "top": signed(4)}), r"Pair.*and consumer's .*'top'"),
        (Pair, unsigned(8), "Pair.*unsigned"),
    ],
)
def test_other_shapes_of_equal_width_are_refused_and_both_ends_named(given, taken, names):
    with pytest.raises(TypeError, match=f"cannot connect producer's .*{names}"):
        connect(Module(), **ends(given, taken))


def test_swapped_ends_are_refused():
    wrong = ends(8, 8)
    with pytest.raises(TypeError, match="producer and consumer are swapped: producer's 'queue__i"):
        connect(Module(), producer=wrong["consumer"], consumer=wrong["producer"])


def test_a_missing_member_is_refused():
    port = wiring.Signature({"extra": Out(1), "payload": Out(8)}).create()
    with pytest.raises(wiring.ConnectionError, match="'extra'"):
        connect(Module(), producer=port, consumer=stream.Signature(8).flip().create())


WHOLE = data.StructLayout({"number": 8, "signal": 4})
PART = data.StructLayout({"signal": 4})


class Forked(wiring.Component):
    """``i`` goes to a sink that wants all of it and to one that wants a part; transfers counted."""

    i: In(stream.Signature(WHOLE))
    whole: Out(stream.Signature(WHOLE))
    part: Out(stream.Signature(PART))
    moved: Out(8).array(3)

    def elaborate(self, platform):
        m = Module()
        fork(m, self.i, wiring.flipped(self.whole), wiring.flipped(self.part))
        for moved, end in zip(self.moved, (self.i, self.whole, self.part), strict=True):
            m.d.sync += moved.eq(moved + (end.valid & end.ready))
        return m


def test_all_sinks_take_a_transfer_in_the_same_cycle():
    dut = Forked()
    rng = random.Random(1)

    async def bench(ctx):
        for _ in range(200):
            valid, whole, part = (rng.randrange(2) for _ in range(3))
            payload = {"number": rng.randrange(256), "signal": rng.randrange(16)}
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.p, payload)
            ctx.set(dut.whole.ready, whole)
            ctx.set(dut.part.ready, part)
            assert ctx.get(dut.i.ready) == (whole and part)
            assert ctx.get(dut.whole.valid) == (valid and part)
            assert ctx.get(dut.part.valid) == (valid and whole)
            assert ctx.get(dut.whole.p.number) == payload["number"]
            assert ctx.get(dut.part.p.signal) == payload["signal"]
            await ctx.tick()
            assert len({ctx.get(moved) for moved in dut.moved}) == 1

        assert ctx.get(dut.moved[0])

    simulate(dut, bench)


TRANSFERS = 300


def run(dut, idle, stall, reset_at=None):
    """Transfers that came out with their cycles, after those of a reset if there was one."""
    reset = Signal()
    rng = random.Random(3)
    seen = []

    async def bench(ctx):
        number, offered = 0, False
        for cycle in range(4 * TRANSFERS):
            if cycle == reset_at:
                ctx.set(reset, 1)
                ctx.set(dut.i.valid, 0)
                await ctx.tick()
                ctx.set(reset, 0)
                assert ctx.get(dut.i.ready) and not ctx.get(dut.o.valid)
                number, offered = 0, False
                seen.clear()
            ready, valid = ctx.get(dut.i.ready), ctx.get(dut.o.valid)
            offered = number < TRANSFERS and (offered or rng.random() >= idle)
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.p, number)
            ctx.set(dut.o.ready, rng.random() >= stall)
            assert (ctx.get(dut.i.ready), ctx.get(dut.o.valid)) == (ready, valid)  # registers
            if valid and ctx.get(dut.o.ready):
                seen.append((cycle, ctx.get(dut.o.p)))
            if offered and ready:
                number, offered = number + 1, False
            await ctx.tick()

    simulate(dut, bench, reset=reset)
    return seen


@pytest.fixture(params=[Skid, Queue])
def dut(request):
    return Skid(unsigned(16)) if request.param is Skid else Queue(unsigned(16), 4)


@pytest.mark.parametrize("idle, stall", [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4)])
@pytest.mark.parametrize("reset_at", [None, 7, 50])
def test_every_transfer_once_and_in_order(dut, idle, stall, reset_at):
    assert [number for _, number in run(dut, idle, stall, reset_at)] == list(range(TRANSFERS))


def test_one_transfer_per_cycle(dut):
    assert run(dut, 0, 0) == [(dut.LATENCY + n, n) for n in range(TRANSFERS)]


def test_the_queue_s_level_and_limit():
    dut = Queue(8, 4)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for _ in range(8):
            await ctx.tick()
        assert (ctx.get(dut.level), ctx.get(dut.i.ready)) == (4, 0)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.o.ready, 1)
        for level in (4, 3, 2, 1, 0):
            assert (ctx.get(dut.level), ctx.get(dut.o.valid)) == (level, level > 0)
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("depth", [0, 1, 12])
def test_the_queue_refuses_a_depth(depth):
    with pytest.raises(ValueError, match=f"a power of two, at least 2, not {depth}"):
        Queue(8, depth)
