"""Sums of products of codes: exact at every size, whole or in parts."""

import pytest
import torch

from nas.numerics import products
from nas.numerics.products import EXACT_FLOAT16, EXACT_FLOAT32, exact_matmul


def codes(low: int, high: int, *shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, shape, generator=generator).float()


def in_integers(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.long().unsqueeze(-1) * b.long().unsqueeze(-3)).sum(-2)


@pytest.mark.parametrize(("depth", "kind"), [(514, torch.float32), (515, torch.float64)])
def test_the_longest_sum_that_float32_holds_and_the_next(depth, kind):
    a, b = torch.full((2, depth), 255.0), torch.full((depth, 3), -128.0)
    a[:, -1], b[-1] = 1.0, -1.0  # the last term is the one that would be lost
    found = exact_matmul(a, b, (255, 128))
    assert found.dtype == kind
    assert torch.equal(found.long(), in_integers(a, b))


@pytest.mark.parametrize("depth", [7, 600, 3072])
def test_sums_of_any_length_are_those_of_integers(depth):
    a, b = codes(0, 255, 5, depth), codes(-128, 127, depth, 6, seed=1)
    assert torch.equal(exact_matmul(a, b, (255, 128)).long(), in_integers(a, b))


def test_matrices_side_by_side():
    a, b = codes(-32, 31, 2, 3, 5, 40), codes(-128, 127, 2, 3, 40, 4, seed=1)
    found = exact_matmul(a, b, (32, 128))
    for i in range(2):
        for j in range(3):
            assert torch.equal(found[i, j].long(), in_integers(a[i, j], b[i, j]))


def test_parts_are_within_the_bound(monkeypatch):
    seen = []

    def multiply(a, b):
        seen.append(a.shape[-1])
        return a @ b

    monkeypatch.setattr(products.torch, "matmul", multiply)
    exact_matmul(codes(0, 255, 2, 1200), codes(-128, 127, 1200, 2), (255, 128))
    assert sum(seen) == 1200 and max(seen) * 255 * 128 <= EXACT_FLOAT32


def test_float16_holds_every_code_and_float32_every_sum():
    whole = torch.arange(-EXACT_FLOAT16, EXACT_FLOAT16 + 1).float()
    assert torch.equal(whole.half().float(), whole)
    assert float(torch.tensor(EXACT_FLOAT16 + 1.0).half()) != EXACT_FLOAT16 + 1
    assert int(torch.tensor(EXACT_FLOAT32 - 1.0)) == EXACT_FLOAT32 - 1
    assert int(torch.tensor(EXACT_FLOAT32 + 1.0)) == EXACT_FLOAT32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="not run: there is no GPU")
@pytest.mark.parametrize("depth", [384, 1536, 3072])
def test_a_gpu_gives_the_same_codes(depth):
    a, b = codes(0, 255, 65, depth), codes(-128, 127, depth, 33, seed=1)
    found = exact_matmul(a.cuda(), b.cuda(), (255, 128))
    assert torch.equal(found.cpu().long(), in_integers(a, b))
