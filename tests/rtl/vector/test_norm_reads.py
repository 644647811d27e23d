"""Reads of LayerNorm: the beats of a pass, whose turn it is, and what each pass waits for."""

import random
from itertools import pairwise, product

import pytest

from rtl.vector.norm_reads import NormAddressGenerator, NormArbiter, NormIssue
from tests.rtl.simulation import simulate
from tests.rtl.streams import FLOWS, pass_through

LANES = 12


def random_operands(choose: random.Random) -> dict[str, int]:
    first = choose.randrange(LANES)
    return {
        "source_address": choose.randrange(1 << 12),
        "source_stride": choose.randrange(1 << 6),
        "row_words": choose.choice([1, 1, 2, 3]),
        "token": 2 * choose.randrange(20),
        "lane_first": first,
        "lane_count": choose.randint(1, LANES - first),
    }


def beats_of(operands: dict[str, int], parts: int) -> list[dict[str, int]]:
    """Beats of one pass, from docs/design/0001-engine.md."""
    first, count = operands["lane_first"], operands["lane_count"]
    lanes, beats = range(first, first + count), []
    last_pair, positions = lanes[-1] // 2, operands["row_words"] * parts
    for pair in range(first // 2, last_pair + 1):
        group, place = divmod(operands["token"] % 4 + 2 * pair, 4)
        for position in range(positions):
            word = group * operands["source_stride"] + position // parts
            last = position == positions - 1
            beats.append(
                {
                    "half": place // 2,
                    "word": operands["source_address"] + word,
                    "pair": pair,
                    "enable": (2 * pair in lanes) + 2 * (2 * pair + 1 in lanes),
                    "position": position,
                    "first": position == 0,
                    "last": last,
                    "final": last and pair == last_pair,
                }
            )
    return beats


def same(beat, expected: dict[str, int]) -> bool:
    return {name: getattr(beat, name) for name in expected} == expected


@pytest.mark.parametrize(("idle", "refuse"), FLOWS)
@pytest.mark.parametrize("parts", [1, 2])
def test_beats_of_random_instructions(parts, idle, refuse):
    choose = random.Random(parts)
    ops = [random_operands(choose) for _ in range(25)]
    inputs = [{"operands": op, "number": number} for number, op in enumerate(ops)]
    expected = [(n, beat) for n, op in enumerate(ops) for beat in beats_of(op, parts)]
    dut = NormAddressGenerator(parts)
    transfers = pass_through(dut, inputs, len(expected), idle=idle, refuse=refuse)
    for found, (number, beat) in zip(transfers.payloads, expected, strict=True):
        assert same(found, beat)
        assert found.dispatch.number == number
    if not refuse:
        firsts = [c for c, found in transfers.given if found.dispatch.number == 0]
        skipped = ops[0]["lane_first"] // 2
        assert firsts[0] - transfers.taken[0] == 1 + skipped
        assert firsts == list(range(firsts[0], firsts[0] + len(firsts)))


def test_the_arbiter_exhaustively():
    dut = NormArbiter()

    async def bench(ctx):
        for free, codes, sums, single, ending in product(
            range(2), range(8), range(4), range(2), range(2)
        ):
            ctx.set(dut.free, free)
            ctx.set(dut.codes, codes)
            ctx.set(dut.sums, sums)
            ctx.set(dut.single, single)
            ctx.set(dut.ending, ending)
            codes_go = free and codes == 7
            sums_go = free and sums == 3 and not (single and ending) and not codes_go
            assert ctx.get(dut.codes_go) == codes_go
            assert ctx.get(dut.sums_go) == sums_go

    simulate(dut, bench)


@pytest.mark.parametrize(("refuse", "wait"), [(0, 3), (0.5, 3), (0.2, 30)])
@pytest.mark.parametrize(("pairs", "beats"), [(32, 32), (2, 2), (4, 3)])
def test_both_passes_wait_for_scalars_and_for_room(pairs, beats, refuse, wait):
    """Scalars come ``wait`` cycles after a pair was read, beats leave the queue after a while."""
    choose, parts = random.Random(pairs), 1
    ops = [random_operands(choose) for _ in range(12)]
    expected = [(n, beat) for n, op in enumerate(ops) for beat in beats_of(op, parts)]
    dut = NormIssue(pairs, beats, parts)
    seen = {False: [], True: []}  # beats by pass
    ready_at, leave_at, used, ready, written, in_queue, ended = [], [], 0, 0, 0, 0, []
    most = {"pairs": 0, "beats": 0}

    async def bench(ctx):
        nonlocal used, ready, written, in_queue
        waiting, done = list(enumerate(ops)), 0
        for cycle in range(6000):
            offers = bool(waiting) and waiting[0][0] - done < 8
            ctx.set(dut.i.valid, offers)
            if offers:
                ctx.set(dut.i.p, {"operands": waiting[0][1], "number": waiting[0][0]})
            ctx.set(dut.o.ready, choose.random() >= refuse)
            ctx.set(dut.pair_ready, cycle in ready_at)
            ready += cycle in ready_at
            leaves = bool(leave_at) and leave_at[0] <= cycle
            ctx.set(dut.beat_written, leaves)
            if leaves:
                leave_at.pop(0)
                in_queue -= 1
            uses = False
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                tagged = ctx.get(dut.o.p)
                is_codes, beat = bool(tagged.codes), tagged.beat
                seen[is_codes].append(beat)
                if is_codes:
                    in_queue += 1
                    leave_at.append(max([cycle + 4, *leave_at[-1:]]) + choose.randrange(3))
                    assert ready > used  # its pair's scalars are there
                    uses = bool(beat.last)
                    done += beat.final
                elif beat.last:
                    ended.append(cycle)
                    ready_at.append(cycle + wait)
            ctx.set(dut.pair_used, uses)
            used += uses
            most["pairs"] = max(most["pairs"], len(ended) - used)
            most["beats"] = max(most["beats"], in_queue)
            if offers and ctx.get(dut.i.ready):
                waiting.pop(0)
            await ctx.tick()
            if len(seen[True]) == len(expected):
                return
        raise AssertionError(f"{len(seen[True])} of {len(expected)} beats of pass 2")

    simulate(dut, bench)
    for found in seen.values():
        for beat, (number, wanted) in zip(found, expected, strict=True):
            assert same(beat, wanted)
            assert beat.dispatch.number == number
    assert most["pairs"] <= pairs
    assert most["beats"] <= beats
    assert all(later - earlier > 1 for earlier, later in pairwise(ended))
