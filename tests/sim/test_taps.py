"""Tap files come back as the values that were written."""

import numpy as np
from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from sim import taps

LAYOUT = data.StructLayout(
    {
        "number": unsigned(24),
        "values": data.ArrayLayout(data.ArrayLayout(signed(6), 3), 2),
        "across": unsigned(9),  # bits 60 to 68: in two words
        "beat": unsigned(128),
    }
)


def test_records_round_trip(tmp_path):
    values = [[[-32, 31, 0], [5, -1, 7]], [[1, 2, 3], [-4, -5, -6]]]
    records = []
    for cycle, codes in enumerate(values):
        init = {
            "number": 1000 + cycle,
            "values": codes,
            "across": 300 + cycle,
            "beat": (1 << 127) + cycle,
        }
        packed = LAYOUT.const(init).as_value().value
        words = [packed >> 32 * i & 0xFFFFFFFF for i in range(-(-LAYOUT.size // 32))]
        records += [cycle, *words]
    file = tmp_path / "buffer.bin"
    np.array(records, np.uint32).tofile(file)

    tap = taps.Tap(file, LAYOUT)
    (beats,) = tap.chunks()

    assert list(beats.cycle) == [0, 1]
    assert list(beats.fields["number"]) == [1000, 1001]
    assert beats.fields["values"].tolist() == values
    assert beats.fields["beat"][1].tolist() == [1] + [0] * 14 + [128]
    assert tap.column("number").tolist() == [1000, 1001]
    assert tap.column("across").tolist() == beats.fields["across"].tolist() == [300, 301]
    assert tap.beats(np.array([1])).cycle.tolist() == [1]


def test_an_empty_file_has_no_records(tmp_path):
    file = tmp_path / "buffer.bin"
    file.touch()
    assert list(taps.Tap(file, LAYOUT).chunks()) == []
