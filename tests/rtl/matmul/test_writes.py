"""Writes of the drain: maxima of scores, and the values of each beat at their scratchpad's port."""

import random

import pytest

from rtl.isa.instructions import Destination
from rtl.matmul.writes import CodeWriter, RowMaximum, ScoreWriter
from tests.rtl.matmul.bench import bits_of, codes_of
from tests.rtl.rigid import stream_through
from tests.rtl.simulation import simulate
from tests.rtl.sizes import ODD, SMALL, TINY

LOWEST = -(1 << 21)


@pytest.mark.parametrize("rows", [4, 8, 16])
def test_row_maximum(rows):
    choose = random.Random(rows)

    def score() -> int:
        return choose.choice([choose.randint(LOWEST, -LOWEST - 1), choose.randint(-3, 3), LOWEST])

    inputs = [
        {"scores": [score() for _ in range(rows)], "valid": choose.getrandbits(rows)}
        for _ in range(300)
    ]
    inputs += [inputs[0] | {"valid": 0}, inputs[1] | {"valid": (1 << rows) - 1}]
    outputs = stream_through(RowMaximum(rows), inputs, RowMaximum.latency(rows))
    assert [output["maximum"] for output in outputs] == [
        max((s for n, s in enumerate(x["scores"]) if x["valid"] >> n & 1), default=LOWEST)
        for x in inputs
    ]


@pytest.mark.parametrize("config", [SMALL, ODD], ids=["two_tokens", "six_tokens"])
def test_scores_and_their_maxima(config):
    """Beats of instructions of several row tiles, to all slots, lanes and rows masked."""
    choose, dut = random.Random(3), ScoreWriter(config)
    rows, tokens = config.row_lanes, config.token_lanes
    maxima = [[None] * tokens for _ in range(config.score_slots)]
    beats = []
    for number in range(24):
        slot, row_tiles = choose.randrange(config.score_slots), choose.randint(1, 3)
        destination = choose.choice([Destination.SCORES] * 3 + [Destination.KEYS])
        first, last = sorted(choose.choices(range(tokens), k=2))
        dispatch = {
            "operands": {"destination": destination, "slot": slot},
            "number": number,
        }
        for row_tile in range(row_tiles):
            keys = choose.getrandbits(rows)
            for quad in range(first // 4, last // 4 + 1):
                lanes = [4 * quad + k for k in range(4)]
                scores = [[choose.randint(-99, 99) for _ in range(rows)] for _ in lanes]
                beat = {
                    "tile": {"dispatch": dispatch, "row_tile": row_tile},
                    "pair": 2 * quad,
                }
                enable = sum((first <= lane <= last) << k for k, lane in enumerate(lanes))
                place = {"beat": beat, "word": number, "enable": enable, "keys": keys}
                beats.append((place, scores))
                for k, lane in enumerate(lanes):
                    if destination == Destination.SCORES and enable >> k & 1:
                        valid = [s for n, s in enumerate(scores[k]) if keys >> n & 1]
                        before = maxima[slot][lane] if row_tile else LOWEST
                        maxima[slot][lane] = max([before, *valid])
                beats += [None] * choose.choice([0, 0, 2])
    written = []

    async def bench(ctx):
        for now in range(len(beats) + dut.LATENCY):
            beat = beats[now] if now < len(beats) else None
            ctx.set(dut.valid, beat is not None)
            if beat:
                ctx.set(dut.place, beat[0])
                ctx.set(dut.quad, beat[1])
            before = beats[now - dut.LATENCY] if now >= dut.LATENCY else None
            if ctx.get(dut.write.valid):
                place, scores = before
                assert ctx.get(dut.write.beat.word) == place["word"]
                assert ctx.get(dut.write.beat.enable) == place["enable"]
                assert ctx.get(dut.write.beat.number) == place["word"]
                assert [list(row) for row in ctx.get(dut.write.beat.scores)] == scores
                written.append(place)
            await ctx.tick()
        await ctx.tick().repeat(RowMaximum.latency(rows) + 2)
        for slot, lanes in enumerate(maxima):
            for lane, maximum in enumerate(lanes):
                assert maximum is None or ctx.get(dut.maxima[slot][lane]) == maximum

    simulate(dut, bench)
    assert written == [
        beat[0]
        for beat in beats
        if beat
        and beat[0]["beat"]["tile"]["dispatch"]["operands"]["destination"] == Destination.SCORES
    ]


PORTS = {
    Destination.ACTIVATIONS: "activation_write",
    Destination.KEYS: "key_write",
    Destination.VALUES: "value_write",
    Destination.RESIDUAL: "residual_write",
}


def test_values_go_to_their_destination_alone():
    choose, dut, rows = random.Random(5), CodeWriter(TINY), TINY.row_lanes
    lanes, bits = 2 * rows, TINY.act_bits
    beats = []
    for number in range(80):
        destination = choose.choice(list(Destination))
        dispatch = {
            "operands": {"destination": destination},
            "number": number,
            "signal": choose.randrange(32),
        }
        pair = choose.randrange(TINY.token_lanes // 2)
        place = {
            "beat": {
                "tile": {"dispatch": dispatch},
                "pair": pair,
                "done": choose.randrange(2),
            },
            "word": choose.randrange(1 << 16),
            "token": 2 * choose.randrange(64),
            "enable": choose.randrange(16),
            "granules": choose.randrange(1 << TINY.granules),
        }
        values = {
            "activations": [choose.randrange(1 << bits) for _ in range(lanes)],
            "codes": [choose.randint(-128, 127) for _ in range(lanes)],
            "residual": [choose.randint(-(1 << 15), (1 << 15) - 1) for _ in range(lanes)],
        }
        beats.append((choose.random() < 0.8, place, values))

    async def bench(ctx):
        for now in range(len(beats) + 2):
            valid, place, values = beats[min(now, len(beats) - 1)]
            ctx.set(dut.valid, valid and now < len(beats))
            ctx.set(dut.place, place)
            ctx.set(dut.activations, values["activations"])
            ctx.set(dut.codes, values["codes"])
            if 0 < now <= len(beats):
                ctx.set(dut.residual, beats[now - 1][2]["residual"])
                check_write(ctx, *beats[now - dut.LATENCY])
            if now > 1:
                valid, place, _ = beats[now - dut.LATENCY - 1]
                dispatch = place["beat"]["tile"]["dispatch"]
                assert ctx.get(dut.done.valid) == (valid and place["beat"]["done"])
                if ctx.get(dut.done.valid):
                    assert ctx.get(dut.done.number) == dispatch["number"]
                    assert ctx.get(dut.done.signal) == dispatch["signal"]
            await ctx.tick()

    def check_write(ctx, valid, place, values) -> None:
        destination = place["beat"]["tile"]["dispatch"]["operands"]["destination"]
        pair = place["beat"]["pair"]
        for target, name in PORTS.items():
            port = getattr(dut, name)
            assert ctx.get(port.valid) == (valid and destination == target)
        if not valid or destination not in PORTS:
            return
        beat = getattr(dut, PORTS[destination]).beat
        assert ctx.get(beat.word) == place["word"]
        assert ctx.get(beat.enable) == place["enable"] >> 2 * (pair % 2) & 3
        if destination == Destination.ACTIVATIONS:
            assert (ctx.get(beat.pair), ctx.get(beat.mask)) == (pair, place["granules"])
            assert ctx.get(beat.codes.as_value()) == bits_of(values["activations"], bits)
        elif destination == Destination.RESIDUAL:
            assert ctx.get(beat.half) == place["token"] >> 1 & 1
            found = codes_of(ctx.get(beat.values.as_value()), lanes, 16, True)
            assert found.tolist() == values["residual"]
        else:
            banks = len(beat.pair)
            assert ctx.get(beat.pair) == (place["token"] >> 1) % (1 << banks)
            found = codes_of(ctx.get(beat.codes.as_value()), lanes, 8, True)
            assert found.tolist() == values["codes"]

    simulate(dut, bench)
