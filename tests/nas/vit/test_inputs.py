"""Hashes of inputs: those of the published figures, and what they depend on."""

from nas.importer.known import KNOWN
from nas.quantize.method import Method
from nas.vit import inputs, photographs
from nas.vit.inputs import NETWORK, code_hash, engine_code_hash, input_hashes, measure_hash


def test_every_input_counts(monkeypatch):
    before = input_hashes()
    assert set(before) == {"wheel", "photographs", "crops", "method"}
    monkeypatch.setattr(photographs, "SEED", 1)
    monkeypatch.setattr(photographs, "list_text", lambda: "{}")
    monkeypatch.setattr(inputs, "Method", lambda: Method(sweeps=3))
    after = input_hashes()
    assert {name for name in before if before[name] != after[name]} == set(before) - {"wheel"}


def test_layout_of_the_list_does_not_count(monkeypatch):
    before, text = input_hashes(), photographs.list_text()
    monkeypatch.setattr(photographs, "list_text", lambda: text.replace("\n", "  \n"))
    assert input_hashes() == before


def test_code_counts(monkeypatch):
    before = code_hash(), engine_code_hash(), measure_hash()
    assert before == (code_hash(), engine_code_hash(), measure_hash())
    monkeypatch.setattr(inputs, "CODE", inputs.CODE[1:])
    monkeypatch.setattr(inputs, "MEASURES", inputs.MEASURES[1:])
    assert code_hash() != before[0] and measure_hash() != before[2]


def test_the_network_is_one_whose_licence_is_known():
    (known,) = KNOWN.values()
    assert NETWORK.endswith(f"{known.name}.onnx") and "MIT" in known.license
