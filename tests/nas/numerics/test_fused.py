"""Elementwise functions compiled: the same bytes as plain ones, step by step."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import torch

from nas.numerics.fused import equal, fused, fusible, masked
from nas.supernet.linear import _output_codes

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


def test_marks_of_equal_codes():
    a, b = torch.tensor([1.0, 2.0, -3.0]), torch.tensor([1.0, 3.0, -3.0])
    marks = equal(a, b)
    assert marks.dtype == torch.int8 and marks.tolist() == [1, 0, 1]
    assert masked(torch.tensor([0.5, 0.5, -2.0]), marks).tolist() == [0.5, 0.0, -2.0]


@needs_compiler
def test_compiled_codes_are_the_same_bytes():
    torch.manual_seed(0)
    acc = torch.randint(-3000, 3000, (37, 50)).float()
    bias, factor = torch.randint(-99, 99, (50,)).float(), torch.rand(50) / 8
    plain = _output_codes(acc, bias, factor, -128, 127)
    wide = _output_codes(acc.double(), bias, factor * 300, -32768, 32767)
    with fused():
        assert_equal(_output_codes(acc, bias, factor, -128, 127), plain)
        assert_equal(_output_codes(acc.double(), bias, factor * 300, -32768, 32767), wide)
    codes, kept = plain
    assert (kept == 0).any() and torch.equal(codes[kept == 1], codes[kept == 1].clamp(-128, 127))


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)


@needs_compiler
def test_functions_are_compiled_inside_alone():
    seen = []

    @fusible
    def doubled(x):
        seen.append(torch.compiler.is_compiling())
        return 2 * x

    x = torch.arange(4.0)
    doubled(x)
    with fused(on=False):
        doubled(x)
    assert seen == [False, False]
    with fused():
        assert torch.equal(doubled(x), 2 * x)
    doubled(x)
    assert seen == [False, False, True, False]


def test_no_compiler_is_one_line():
    code = "from nas.numerics.fused import fused; fused().__enter__()"
    environment = os.environ | {"CXX": "/nowhere/c++"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    *_, line = found.stderr.strip().splitlines()
    assert re.search(r"UserError: --compile needs a compiler .*: leave it out$", line)
