# amaranth: UnusedElaboratable=no
"""Pieces: all beats of a burst once and in order, none across the end of its block."""

import random

import pytest

from rtl.memory.axi import BURST_BEATS
from rtl.soc.pieces import MemoryPorts, PieceCutter
from tests.rtl.streams import FLOWS, pass_through

BURSTS = [
    (first, beats) for first in range(BURST_BEATS) for beats in range(1, BURST_BEATS - first + 1)
]  # in their block: all there are


def pieces_of(address, beats, data_bytes, piece_beats):
    found = []
    while beats:
        count = min(beats, piece_beats - address // data_bytes % piece_beats)
        found.append((address, count, beats == count))
        address, beats = address + count * data_bytes, beats - count
    return found


def cut(data_bytes, piece_beats, bursts, **flow):
    inputs = [{"address": address, "beats": beats, "last": 0} for address, beats in bursts]
    expected = [p for b in bursts for p in pieces_of(*b, data_bytes, piece_beats)]
    seen = pass_through(PieceCutter(data_bytes, piece_beats), inputs, len(expected), **flow)
    assert [(p["address"], p["beats"], bool(p["last"])) for p in seen.payloads] == expected
    return seen


@pytest.mark.parametrize(("data_bytes", "piece_beats"), [(64, 4), (16, 16), (32, 8), (256, 1)])
def test_every_burst_is_cut(data_bytes, piece_beats):
    rng = random.Random(1)
    blocks = [rng.randrange(1 << 26) for _ in BURSTS]
    bursts = [
        ((block * BURST_BEATS + first) * data_bytes, beats)
        for block, (first, beats) in zip(blocks, BURSTS, strict=True)
    ]
    seen = cut(data_bytes, piece_beats, bursts)
    cycles = [cycle for cycle, _ in seen.given]
    assert cycles[0] == seen.taken[0] + PieceCutter.LATENCY
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))  # one per cycle


@pytest.mark.parametrize(("idle", "refuse"), FLOWS)
def test_stalls_change_nothing(idle, refuse):
    cut(64, 4, [(64 * first, beats) for first, beats in BURSTS], idle=idle, refuse=refuse)


def test_a_piece_is_no_longer_than_memory_takes():
    assert [MemoryPorts(2, size).piece_bytes for size in (8, 16, 32)] == [128, 256, 256]


def test_what_is_refused():
    with pytest.raises(ValueError, match="count must be between 1 and 4, not 5"):
        MemoryPorts(5, 16)
    with pytest.raises(ValueError, match="bytes must be 4, 8, 16, 32 or 64, not 24"):
        MemoryPorts(2, 24)
    with pytest.raises(ValueError, match="piece_beats must be a power of two up to 16, not 32"):
        PieceCutter(8, 32)
