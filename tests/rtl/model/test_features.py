"""Tokens as the output: what a host computes, the file, every refusal."""

from dataclasses import replace

import numpy as np
import pytest

from boards.host.features import features
from rtl.errors import UserError
from rtl.model import Features, HostNetwork, IntegerModel, repack
from sim.golden import run
from sim.random_model import random_images, random_model
from tests.rtl.model.files import SIZES, add, cut, delete, header_edit, recast, refusal_of
from tests.rtl.model.files import tensor_edit as edited

SHA = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def model():
    made = random_model(**SIZES, output="tokens", pool="mean", class_token=False, registers=2)
    host = HostNetwork("net.host.onnx", SHA)
    return replace(made, output=replace(made.output, host=host), class_names=("a", "b"))


class TestComputation:
    WORDS = np.array([[[1, 3, 8, 0], [7, 7, 7, 7], [-5, 5, 2, 6]]], np.int16)
    OUTPUT = Features(
        matrix=np.array([[2, 0, 0, 0], [0, 1, 0, -1]], np.float32),
        bias=np.array([0.5, -1], np.float32),
        epsilon=np.float32(0.25),
        scale=np.float32(0.5),
        pool="all",
    )

    def by_hand(self, words):
        x = [float(r) * 0.5 for r in words]
        mean = sum(x) / 4
        deviation = (sum((v - mean) ** 2 for v in x) / 4 + 0.25) ** 0.5
        n = [(v - mean) / deviation for v in x]
        return [2 * n[0] + 0.5, n[1] - n[3] - 1]

    def test_every_token(self):
        found = features(self.OUTPUT, self.WORDS, patches=2)
        assert found.dtype == np.float32
        expected = [[self.by_hand(words) for words in self.WORDS[0].tolist()]]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_array_equal(found[0, 1], [0.5, -1])  # no variance

    def test_the_class_token_is_the_last(self):
        found = features(replace(self.OUTPUT, pool="token"), self.WORDS, patches=2)
        np.testing.assert_allclose(found, [self.by_hand(self.WORDS[0, -1])], rtol=1e-6)

    def test_the_mean_is_of_patches_alone_and_behind_the_matrix(self):
        found = features(replace(self.OUTPUT, pool="mean"), self.WORDS, patches=2)
        expected = np.mean([self.by_hand(words) for words in self.WORDS[0, :2]], axis=0)
        np.testing.assert_allclose(found, [expected], rtol=1e-6)

    def test_behind_attention_pooling_there_is_no_norm(self):
        output = replace(self.OUTPUT, pool="attention", epsilon=None)
        found = features(output, self.WORDS[:, -1:], patches=2)
        np.testing.assert_array_equal(found, [[-5 + 0.5, 2.5 - 3 - 1]])


class TestAttentionPooling:
    def test_round_trip(self, path):
        model = random_model(**SIZES, output="tokens", pool="attention", class_token=False)
        model.save(path)
        loaded = IntegerModel.load(path)
        assert loaded.hash == model.hash and loaded.format == 3
        assert loaded.output.epsilon is None and "features.epsilon" not in loaded.tensors()
        assert loaded.blocks[1].pools and not loaded.blocks[0].pools
        assert loaded.blocks[1].q.weight.shape == (8, 0)
        shape = loaded.shape
        assert shape.attention_pool and shape.dense and shape.final_tokens == range(3, 4)
        assert loaded.header()["front"] is None

    def test_repack_gives_the_same_tokens(self):
        model = random_model(**SIZES, output="tokens", pool="attention")
        images = random_images(model.image, 3)
        np.testing.assert_array_equal(run(repack(model, 16), images), run(model, images))

    CASES = {
        "format 2": (
            header_edit("format", 2),
            "pool must be one of token, mean, all, not 'attention'",
        ),
        "another pool": (
            header_edit("pool", "all"),
            "tensor features.epsilon is missing",
        ),
        "logits": (
            header_edit("output", "logits"),
            "pool must be one of token, mean, not 'attention'",
        ),
        "epsilon": (
            add("features.epsilon"),
            "tensor 'features.epsilon' does not belong to this model",
        ),
        "a query that depends on something": (
            lambda header, tensors: tensors.update(
                {"blocks.1.q.weight": np.zeros((8, 16), np.int8)}
            ),
            "tensor blocks.1.q.weight must have shape 8x0, not 8x16",
        ),
    }

    @pytest.mark.parametrize("edit, message", CASES.values(), ids=CASES)
    def test_refused_by_name(self, path, edit, message):
        model = random_model(**SIZES, output="tokens", pool="attention", class_token=False)
        assert refusal_of(path, model, edit) == message

    def test_a_constant_query_belongs_to_it_alone(self, path):
        model = random_model(**SIZES, output="tokens", pool="all")
        message = refusal_of(path, model, lambda header, tensors: tensors.update(
            {"blocks.1.q.weight": np.zeros((8, 0), np.int8)}
        ))  # fmt: skip
        assert message == "tensor blocks.1.q.weight must have shape 8x16, not 8x0"


class TestFile:
    @pytest.mark.parametrize("pool", ["token", "mean", "all"])
    def test_round_trip(self, path, pool):
        model = random_model(**SIZES, output="tokens", pool=pool)
        model.save(path)
        loaded = IntegerModel.load(path)
        assert loaded.hash == model.hash and loaded.output.pool == pool
        assert loaded.output.epsilon == np.float32(1e-6) and loaded.output.host is None
        assert loaded.output_tensor == "blocks.1.output" and loaded.classes == 0
        shape = loaded.shape
        assert shape == model.shape and shape.dense and not shape.mean_pool
        assert shape.final_tokens == range(5) and shape.head_bits8 == ()
        assert "head" not in loaded.linears() and "class_token" in loaded.header() | {
            "class_token": pool == "token"
        }

    def test_host_and_registers(self, model, path):
        model.save(path)
        loaded = IntegerModel.load(path)
        assert loaded.hash == model.hash
        assert loaded.output.host == HostNetwork("net.host.onnx", SHA)
        assert (loaded.registers, loaded.tokens, loaded.class_token) == (2, 6, False)
        assert loaded.class_names == ("a", "b")

    def test_registers_beside_logits(self, path):
        model = random_model(**SIZES, registers=3)
        model.save(path)
        loaded = IntegerModel.load(path)
        assert loaded.hash == model.hash and loaded.header()["output"] == "logits"
        assert loaded.tokens == 8 and loaded.shape.registers == 3
        assert loaded.shape.final_tokens == range(7, 8)

    def test_there_is_no_classifier(self, model):
        with pytest.raises(ValueError, match="there is no classifier"):
            _ = model.classifier

    def test_repack_keeps_it(self, model):
        assert repack(model, 16).output is model.output


CASES = {
    "output": (header_edit("output", "both"), "output must be one of logits, tokens, not 'both'"),
    "pool": (header_edit("pool", "max"), "pool must be one of token, mean, all, not 'max'"),
    "no class_token": (lambda header, tensors: header.pop("class_token"),
                       "header lacks the key 'class_token'"),
    "no host": (lambda header, tensors: header.pop("host"), "header lacks the key 'host'"),
    "no registers": (
        lambda header, tensors: header.pop("registers"),
        "header lacks the key 'registers'",
    ),
    "classes": (header_edit("classes", 3), "header has an unknown key 'classes'"),
    "norm": (header_edit("norm", {}), "header has an unknown key 'norm'"),
    "head": (add("head.bias"), "tensor 'head.bias' does not belong to this model"),
    "registers": (
        header_edit("registers", -1),
        "registers must be an integer from 0 to 1024, not -1",
    ),
    "position": (header_edit("registers", 3), "tensor position must have shape 7x16, not 6x16"),
    "tokens": (
        header_edit("registers", 1021),
        "tokens (patches and registers) must be an integer from 1022 to 1024, not 1025",
    ),
    "host": (header_edit("host", "a.onnx"), "header.host must be an object, not 'a.onnx'"),
    "host key": (
        header_edit("host", {"file": "a.onnx", "sha256": SHA, "size": 1}),
        "header.host has an unknown key 'size'",
    ),
    "host folder": (
        header_edit("host", "file", "../a.onnx"),
        "host.file must be the name of a file beside the model, without a folder, not '../a.onnx'",
    ),
    "host hash": (
        header_edit("host", "sha256", SHA.upper()),
        "host.sha256 must be 64 lower-case hexadecimal digits, not '0123456789ABCDEF",
    ),
    "class name": (header_edit("class_names", [1]), "class_names[0] must be text, not 1"),
    "no matrix": (delete("features.matrix"), "tensor features.matrix is missing"),
    "matrix of integers": (
        recast("features.matrix", np.int32),
        "tensor features.matrix must be float32, not int32",
    ),
    "bias": (cut("features.bias"), "tensor features.bias must have shape 16, not 15"),
    "NaN": (
        edited("features.matrix", (1, 2), np.nan),
        "tensor features.matrix[1, 2] is nan: it must be a finite number",
    ),
    "epsilon": (
        edited("features.epsilon", (), 0),
        "tensor features.epsilon is 0.0: it must be greater than 0",
    ),
    "scale": (
        edited("features.scale", (), np.inf),
        "tensor features.scale is inf: it must be a finite number",
    ),
    "scale of an axis": (
        lambda header, tensors: tensors.update({"features.scale": np.ones(1, np.float32)}),
        "tensor features.scale must have shape scalar, not 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_refused_by_name(model, path, name):
    edit, message = CASES[name]
    assert refusal_of(path, model, edit).startswith(message)


def test_a_class_token_that_nobody_has(model):
    with pytest.raises(UserError, match="pool token needs a class token"):
        replace(model, output=replace(model.output, pool="token"))


def test_three_kinds_of_tokens():
    model = random_model(**SIZES, registers=1)
    with pytest.raises(UserError, match=r"tokens \(patches, registers and class token\) must be"):
        replace(model, registers=1024)
