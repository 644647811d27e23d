"""The conformance files: golden agrees, the command makes them again, every feature occurs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from boards.host.pictures import prepare
from rtl.board import load_board
from rtl.cli import command
from rtl.compiler import compile_model
from rtl.config import TINY, engine
from rtl.isa.scratchpads import Scratchpads
from rtl.isa.semantics import HostMemory, Interpreter
from rtl.model import Features, IntegerModel, repack
from rtl.model.numerics import code_range
from sim import golden, runner
from tests.conformance import make as conformance
from tests.conformance.pictures import recipe_of

FOLDER = Path(__file__).parent
NAMES = sorted(conformance.MODELS)
MOST_BYTES = 3_000_000
ENDINGS = {".pulsar", ".npz", ".pgm", ".ppm", ".png", ".gif", ".json"}


def load(name):
    return IntegerModel.load(FOLDER / f"{name}.pulsar"), dict(np.load(FOLDER / f"{name}.npz"))


@pytest.mark.parametrize("name", NAMES)
def test_golden_gives_every_tensor(name):
    model, arrays = load(name)
    found = conformance.reference(model)
    assert found.keys() == arrays.keys()
    if "features" in arrays:
        np.testing.assert_allclose(found.pop("features"), arrays.pop("features"), rtol=1e-5)
    for tensor, values in arrays.items():
        np.testing.assert_array_equal(found[tensor], values, err_msg=tensor)


def test_the_command_makes_the_same_bytes(tmp_path, capsys):
    arguments = ["--folder", str(tmp_path)]
    assert command(conformance.main, prog=conformance.PROG, args=arguments) == 0
    capsys.readouterr()
    made = {file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()}
    kept = {file.relative_to(FOLDER) for file in FOLDER.rglob("*") if file.suffix in ENDINGS}
    assert made == kept
    for file in made - {Path("preprocessing/animated.gif")}:  # Pillow's compressor may change
        assert (tmp_path / file).read_bytes() == (FOLDER / file).read_bytes(), file


def test_they_are_small():
    assert sum(file.stat().st_size for file in FOLDER.rglob("*")) < MOST_BYTES


@pytest.mark.parametrize("recipe", json.loads((FOLDER / "preprocessing/recipes.json").read_text()))
def test_preprocessing(recipe):
    pixels = np.load(FOLDER / "preprocessing/pixels.npz")[recipe["pixels"]]
    given = recipe_of(recipe["preprocessing"])
    found = prepare(FOLDER / "preprocessing" / recipe["image"], given, pixels.shape)
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.sim
@pytest.mark.parametrize(
    "name",
    ["plain", "edges", "colour", "registers", "tokens", "front", "pooled", "kept", "kept_tokens"],
)
def test_the_rtl_agrees(name):
    model, arrays = load(name)
    board = load_board("sim")
    sizes = engine("tiny_select" if name.startswith("kept") else board.engine)
    fitting = repack(model, sizes.row_lanes)
    run = runner.run(fitting, arrays["images"], board, engine=sizes)
    assert run.exact
    np.testing.assert_array_equal(run.output, arrays[model.output_tensor])
    if "features.tokens" in arrays:
        np.testing.assert_array_equal(run.indices, arrays["features.tokens"])


@pytest.mark.parametrize("name", ["kept", "kept_ties", "kept_one", "kept_tokens"])
def test_programs_agree(name):
    """On the instruction set's interpreter: an engine that selects tokens, of any width."""
    model, arrays = load(name)
    sizes = replace(TINY, act_bits=model.act_bits, select_tokens=256)
    compiled = compile_model(repack(model, sizes.row_lanes), sizes)
    images, offset = arrays["images"], compiled.memory.program_offset
    host = HostMemory(compiled.region, images.tobytes(), offset, len(images))
    output = Interpreter(Scratchpads(sizes, 0), golden, host).run()
    np.testing.assert_array_equal(compiled.output(output), arrays[model.output_tensor])
    if "features.tokens" in arrays:
        np.testing.assert_array_equal(compiled.indices(output), arrays["features.tokens"])


# ------------------------------------------------------------ every feature


def models():
    return [load(name) for name in NAMES]


def parts(found):
    """List blocks, layers and LayerNorms of all models."""
    blocks = [block for model, _ in found for block in model.blocks]
    layers = [layer for model, _ in found for layer in model.linears().values()]
    norms = [norm for block in blocks for norm in (block.norm1, block.norm2)]
    outputs = [model.output for model, _ in found]
    return blocks, layers, [*norms, *(o.norm for o in outputs if not isinstance(o, Features))]


def values_of(choose):
    return {choose(model) for model, _ in models()}


def test_sizes_of_the_network():
    assert values_of(lambda m: m.act_bits) == {4, 6, 8}
    assert values_of(lambda m: (pool_of(m), m.class_token)) >= {
        ("token", True), ("mean", True), ("mean", False), ("all", True),
    }  # fmt: skip
    assert values_of(lambda m: m.image[2]) == {1, 3}
    assert values_of(lambda m: m.image[0] == m.image[1]) == {True, False}
    assert {1, 2} <= values_of(lambda m: len(m.blocks))
    assert {False, True} == values_of(lambda m: len({b.heads for b in m.blocks}) > 1)
    assert {False, True} == values_of(lambda m: len({b.hidden for b in m.blocks}) > 1)
    assert {False, True} == values_of(lambda m: m.width % m.row_granularity != 0)
    assert len(values_of(lambda m: m.row_granularity)) >= 4
    assert max(values_of(lambda m: m.tokens)) > 64


def pool_of(model):
    return model.header()["pool"]


def test_format_3():
    fronts = [model.front for model, _ in models() if model.front]
    assert {front.norm.signed for front in fronts} == {True, False}
    assert any(front.norm.exponent.any() for front in fronts)
    assert any(len(front.layer.bits) % 8 for front in fronts)
    poolers = [model for model, _ in models() if model.blocks[-1].pools]
    assert {model.class_token for model in poolers} == {True, False}
    assert {bool(model.registers) for model in poolers} == {True, False}


def test_format_4():
    found = {name: load(name) for name in NAMES}
    found = {name: (m, tensors) for name, (m, tensors) in found.items() if m.shape.selects}
    keeps = [[b.keep for b in model.blocks] for model, _ in found.values()]
    assert any(None not in keep[:2] for keep in keeps)  # one block behind another
    firsts = {model.blocks[0].keep == model.shape.patches for model, _ in found.values()}
    assert firsts == {True, False}
    assert {model.act_bits for model, _ in found.values()} == {4, 6, 8}
    assert {model.tokens for model, _ in found.values()} >= {2}
    assert {bool(model.registers) for model, _ in found.values()} == {True, False}
    model, tensors = found["kept"]
    for block in (1, 2):  # each image keeps patches of its own
        assert (np.diff(tensors[f"blocks.{block}.kept"].astype(int), axis=0) != 0).any()
    model, tensors = found["kept_tokens"]
    left = tensors["features.tokens"]
    assert left.shape == tensors["features"].shape[:2] == (2, 5)
    assert (left[:, -2:] == [model.shape.patches, model.shape.patches + 1]).all()


def test_ties_go_to_the_patches_in_front():
    tensors = load("kept_ties")[1]
    for block, keep in ((0, 23), (1, 1)):
        for importance, kept in zip(
            tensors[f"blocks.{block}.importance"].tolist(),
            tensors[f"blocks.{block}.kept"].tolist(),
            strict=True,
        ):
            stay, dropped = kept[:keep], set(range(len(importance))) - set(kept)
            threshold = min(importance[j] for j in stay)
            equal = [j for j in dropped if importance[j] == threshold]
            assert equal and all(importance[j] <= threshold for j in dropped)
            assert min(equal) > max(j for j in stay if importance[j] == threshold)


def test_format_2():
    assert values_of(lambda m: m.format) == {1, 2, 3, 4}
    dense = values_of(lambda m: isinstance(m.output, Features) and pool_of(m))
    assert dense == {False, "token", "mean", "all", "attention"}
    outputs = [model.output for model, _ in models() if isinstance(model.output, Features)]
    assert {True, False} == {output.host is None for output in outputs}
    assert {True, False} == {output.matrix.shape[0] == output.matrix.shape[1] for output in outputs}
    assert {True, False} == values_of(lambda m: m.registers > 0)
    assert {(False, True), (True, True)} <= values_of(
        lambda m: (isinstance(m.output, Features), m.registers > 0)
    )
    blocks, _, _ = parts(models())
    tables = [block for block in blocks if block.first_units is not None]
    assert len(tables) < len(blocks)
    assert {block.hidden_signed for block in tables} == {True, False}
    assert any(block.second_zero not in (0, block.hidden_zero) for block in tables)
    assert any(block.hidden % 8 for block in tables)


def test_rows_of_4_and_8_bits():
    _, layers, _ = parts(models())
    assert {tuple(np.unique(layer.bits)) for layer in layers} == {(4,), (8,), (4, 8)}
    for bits in (4, 8):
        weights = np.concatenate([layer.weight[layer.bits == bits].ravel() for layer in layers])
        assert (weights.min(), weights.max()) == code_range(bits, signed=True)


def test_ends_of_the_scales():
    blocks, layers, norms = parts(models())
    multipliers = np.concatenate([layer.multiplier for layer in layers])
    shifts = np.concatenate([layer.shift for layer in layers])
    assert (multipliers.min(), multipliers.max()) == (0, (1 << 17) - 1)
    assert (shifts.min(), shifts.max()) == (1, 47)
    residual = {layer.residual_shift for layer in layers}
    assert {0, 1, 2, 15} <= residual
    assert {0, 1, 2, 3} == {int(t) for norm in norms for t in norm.exponent}
    assert {1, (1 << 32) - 1} <= {norm.epsilon for norm in norms}
    assert {1 << 15, (1 << 16) - 1} <= {norm.gain for norm in norms}
    assert {0, 15} <= {norm.shift for norm in norms}
    softmax = {
        (m, s) for b in blocks for m, s in zip(b.softmax.multiplier, b.softmax.shift, strict=True)
    }
    assert {(1, 47), ((1 << 17) - 1, 0)} <= softmax
    context = {
        (m, s) for b in blocks for m, s in zip(b.context.multiplier, b.context.shift, strict=True)
    }
    assert {(1 << 15, 0), ((1 << 16) - 1, 28)} <= context


def test_signed_and_unsigned_codes():
    blocks, _, norms = parts(models())
    assert {norm.signed for norm in norms} == {True, False}
    assert {block.hidden_signed for block in blocks} == {True, False}
    assert any(norm.zero for norm in norms) and any(block.hidden_zero for block in blocks)


def test_descriptions():
    assert values_of(lambda m: m.preprocessing.mode) == {"L", "RGB"}
    assert values_of(lambda m: m.preprocessing.invert) == {True, False}
    assert values_of(lambda m: m.preprocessing.interpolation) == {"bilinear", "bicubic"}
    assert values_of(lambda m: type(m.preprocessing.resize)) == {int, tuple, type(None)}
    assert values_of(lambda m: m.preprocessing.margin) == {"floor", "even"}
    assert values_of(lambda m: m.preprocessing.pad is None) == {True, False}
    assert any(not name.isascii() for m, _ in models() for name in m.class_names)
    assert any(isinstance(m.info.get("nested"), dict) for m, _ in models())


def test_every_rule_of_the_arithmetic_is_reached():
    tensors = load("edges")[1]
    for end in (32767, -32768):
        assert (tensors["embed"] == end).any() and (tensors["blocks.0.attended"] == end).any()
        assert (tensors["logits"] == end).any() or end == 32767
    assert (tensors["embed"] == tensors["embed"][..., :1]).all(axis=2).any()  # variance 0
    assert (tensors["class"] == 1).all() and (
        tensors["logits"][:, 1] == tensors["logits"][:, 2]
    ).all()
    attention = tensors["blocks.0.attention"]
    assert attention.max() == 63 and (attention == 0).any()
