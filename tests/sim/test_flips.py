"""``python -m sim.flips``: a damaged program never gives a wrong result without a fault."""

import json

import pytest

from rtl.cli import command
from rtl.isa.instructions import INSTRUCTION_BITS
from sim import flips
from sim.flips import PROG, flip_bits, main, sample_bits, small_network

SAMPLE = 48


@pytest.mark.sim
def test_every_flipped_bit_is_noticed():
    """At random, and in each instruction's and END's own fields; the checksum itself, too."""
    compiled, image = small_network()
    end = len(compiled.code) * 8 - INSTRUCTION_BITS
    bits = [*sample_bits(compiled, SAMPLE, 1), 4, 9, end, end + 5, end + 40, end + 200]
    result = flip_bits(sorted(set(bits)), compiled, image)
    assert result.wrong == () and result.right == 0
    assert sum(result.faults.values()) == len(set(bits))
    assert {"CHECKSUM", "OPCODE"} <= set(result.faults)


def test_bits_are_drawn_once_and_by_the_seed():
    compiled, _ = small_network()
    bits = sample_bits(compiled, 500, 3)
    assert len(set(bits)) == 500 and bits == sample_bits(compiled, 500, 3)
    assert bits != sample_bits(compiled, 500, 4) and max(bits) < 8 * len(compiled.code)


def test_silent_wrong_results_are_an_error(monkeypatch, tmp_path, capsys):
    found = flips.FlipResult({"CHECKSUM": 8, "WATCHDOG": 1}, right=2, wrong=(17,))
    monkeypatch.setattr(flips, "flip_bits", lambda bits, *_: found)
    file = tmp_path / "flips.json"
    assert command(main, prog=PROG, args=["--flips", "12", "--json", str(file)]) == 1
    output = capsys.readouterr()
    assert output.err == f"{PROG}: error: wrong logits without a fault, bits 17\n"
    assert "fault CHECKSUM" in output.out
    assert json.loads(file.read_text()) == {
        "schema": 1, "flips": 12, "seed": 0, "faults": found.faults, "right": 2, "wrong": 1,
    }  # fmt: skip


def test_too_many_flips(capsys):
    assert command(main, prog=PROG, args=["--flips", "10000000"]) == 2
    assert "--flips must be between 1 and the program's" in capsys.readouterr().err
