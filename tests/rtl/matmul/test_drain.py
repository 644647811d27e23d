"""Drain: the lanes and scales of a beat, and a beat's way from its sums to its destination."""

import random

import pytest

from rtl.isa.instructions import Destination, Format
from rtl.matmul.drain import Drain, LaneSelection
from rtl.memory.ports import READ_LATENCY
from rtl.model.numerics import code_range
from sim.golden import ops
from tests.rtl.matmul.bench import codes_of
from tests.rtl.simulation import simulate
from tests.rtl.sizes import ODD, TINY


def random_scale(choose: random.Random) -> dict[str, int]:
    return {"multiplier": choose.randrange(1 << 17), "shift": choose.randint(15, 28)}


@pytest.mark.parametrize("config", [TINY, ODD], ids=["tiny", "six_tokens"])
def test_lanes_of_a_beat_and_their_scales(config):
    choose, dut, rows = random.Random(1), LaneSelection(config), config.row_lanes
    slots, tokens = config.score_slots, config.token_lanes
    token_scales = [[random_scale(choose) for _ in range(tokens)] for _ in range(slots)]
    beats = []
    for _ in range(60):
        operands = {"token_scale": choose.randrange(2), "slot": choose.randrange(slots)}
        pair = choose.randrange(tokens // 2)
        place = {"beat": {"tile": {"dispatch": {"operands": operands}}, "pair": pair}}
        quad = [[choose.randint(-(1 << 26), (1 << 26) - 1) for _ in range(rows)] for _ in range(4)]
        record = [
            random_scale(choose) | {"bias": choose.randint(-(1 << 26), (1 << 26) - 1)}
            for _ in range(rows)
        ]
        beats.append((place, quad, record))

    async def bench(ctx):
        for slot, scales in enumerate(token_scales):
            for lane, scale in enumerate(scales):
                ctx.set(dut.token_scales[slot][lane], scale)
        for now in range(len(beats) + dut.LATENCY):
            ctx.set(dut.place, beats[min(now, len(beats) - 1)][0])
            if 0 <= now - 1 < len(beats):
                ctx.set(dut.quad, beats[now - 1][1])
            if 0 <= now - READ_LATENCY < len(beats):
                for row, record in enumerate(beats[now - READ_LATENCY][2]):
                    ctx.set(dut.parameters[row], record)
            if now >= dut.LATENCY:
                check(ctx, *beats[now - dut.LATENCY])
            await ctx.tick()

    def check(ctx, place, quad, record) -> None:
        pair, operands = place["beat"]["pair"], place["beat"]["tile"]["dispatch"]["operands"]
        for token in range(2):
            by_token = token_scales[operands["slot"]][2 * pair + token] | {"bias": 0}
            for row in range(rows):
                lane = token * rows + row
                assert ctx.get(dut.acc[lane]) == quad[2 * (pair % 2) + token][row]
                scale = ctx.get(dut.scales[lane])
                expected = by_token if operands["token_scale"] else record[row]
                assert (scale.bias, scale.multiplier, scale.shift) == (
                    expected["bias"],
                    expected["multiplier"],
                    expected["shift"],
                )

    simulate(dut, bench)


@pytest.mark.parametrize(
    ("destination", "code_format", "port"),
    [
        (Destination.ACTIVATIONS, Format.ACT_UNSIGNED, "activation_write"),
        (Destination.KEYS, Format.INT8, "key_write"),
        (Destination.VALUES, Format.INT8, "value_write"),
        (Destination.RESIDUAL, Format.INT16, "residual_write"),
    ],
)
def test_beats_from_their_sums_to_their_destination(destination, code_format, port):
    """Values against golden, and the cycles of select, write and completion."""
    config, choose, rows = TINY, random.Random(2), TINY.row_lanes
    dut, tokens = Drain(config), config.token_lanes
    sums = [[choose.randint(-5000, 5000) for _ in range(rows)] for _ in range(tokens)]
    record = [random_scale(choose) | {"bias": choose.randint(-500, 500)} for _ in range(rows)]
    for scale in record:
        scale["shift"] = choose.randint(18, 24)
    op = {
        "destination": destination,
        "format": code_format,
        "lane_count": tokens,
        "parameter_address": 9,
        "destination_address": 100,
        "destination_stride": 10,
        "mask_count": 255,
    }
    dispatch = {"operands": op, "number": 3, "signal": 5}
    tile = {"dispatch": dispatch, "lane_last": tokens - 1, "row_tile": 2, "final": 1}
    writes, done = [], []

    async def bench(ctx):
        address, quad = [None] * READ_LATENCY, 0
        for now in range(60):
            ctx.set(dut.tile_valid, now == 0)
            ctx.set(dut.tile, tile)
            ctx.set(dut.residual.request.ready, 1)
            lanes = sums[4 * quad : 4 * quad + 4]
            ctx.set(dut.quad, lanes + [[0] * rows] * (4 - len(lanes)))
            requested = address.pop(0)
            assert requested in (None, 11)
            for row, parameters in enumerate(record):
                ctx.set(dut.parameters.data[row], parameters if requested else {})
            address.append(
                ctx.get(dut.parameters.request) if ctx.get(dut.parameters.enable) else None
            )
            quad = ctx.get(dut.select)
            write = getattr(dut, port)
            if ctx.get(write.valid):
                beat = ctx.get(write.beat)
                raw = beat.values if destination == Destination.RESIDUAL else beat.codes
                writes.append((now, beat.word, raw.as_bits()))
            if ctx.get(dut.done.valid):
                done.append((now, ctx.get(dut.done.number), ctx.get(dut.done.signal)))
            await ctx.tick()

    simulate(dut, bench)
    first = dut.SELECT_LATENCY + dut.WRITE_LATENCY
    assert [now for now, _, _ in writes] == [first + n for n in range(tokens // 2)]
    assert done == [(dut.SELECT_LATENCY + tokens // 2 - 1 + dut.LATENCY, 3, 5)]
    bits, is_signed = {
        Format.ACT_UNSIGNED: (config.act_bits, False),
        Format.INT8: (8, True),
        Format.INT16: (16, True),
    }[code_format]
    limits = code_range(bits, is_signed)
    names = ("bias", "multiplier", "shift")
    columns = [[scale[name] for scale in record] for name in names]
    for pair, (_, _, raw) in enumerate(writes):
        found = codes_of(raw, 2 * rows, bits, is_signed).reshape(2, rows)
        for token in range(2):
            columns = [
                [scale[name] for scale in record] for name in ("bias", "multiplier", "shift")
            ]
            expected = ops.requantize(sums[2 * pair + token], *columns, *limits)
            assert found[token].tolist() == expected.tolist()
    assert len({tuple(raw.to_bytes(64, "little")) for _, _, raw in writes}) == tokens // 2
