"""The roofline: points by hand, and an image that figures alone decide."""

import pytest

from nas.cost.roofline import plot, points


def test_points_of_the_roofline(deit_tiny):
    found = points(deit_tiny)
    assert found["network"].rate == pytest.approx(deit_tiny.work.macs * 150e6 / deit_tiny.cycles)
    peak = 9_216 * 150e6
    assert all(point.rate < peak for point in found.values())
    assert found["scores"].rate < peak / 2  # keys have 8 bits
    assert found["scores"].intensity == found["context"].intensity == float("inf")
    read = 1024 * 192 // 2 + 1024 * 8 + 384  # weights, records, exponents of the LayerNorm
    assert found["head"].intensity == 192_000 / read
    weighted = sum(deit_tiny.work_by_kind[kind].macs for kind in found if kind != "network")
    assert weighted == deit_tiny.work.macs


def test_equal_figures_give_an_equal_picture(tmp_path, deit_tiny, digits):
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for path, estimate in zip(paths, (deit_tiny, deit_tiny, digits), strict=True):
        plot(path, estimate, 300, "title")
    first, second, third = (path.read_bytes() for path in paths)
    assert first == second != third
    assert first.startswith(b"\x89PNG")
