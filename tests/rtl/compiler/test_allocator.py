"""Rings: what is taken never overlaps, and order is first in, first out."""

from hypothesis import given
from hypothesis import strategies as st

from rtl.compiler.allocator import Ring


@given(
    st.booleans(),
    st.lists(
        st.tuples(st.integers(1, 12), st.integers(0, 3), st.sampled_from([0, 0, 0, 5])), max_size=60
    ),
)
def test_live_allocations_never_overlap(wraps, requests):
    ring = Ring(20, wraps)
    live = []
    for words, releases, floor in requests:
        ring.floor = floor
        for _ in range(min(releases, len(live))):
            ring.release(live.pop(0)[0])
        if not ring.fits(words):
            continue
        key = object()
        address = ring.take(words, key)
        assert floor <= address < 20 and ((wraps and not floor) or address + words <= 20)
        live.append((key, {(address + i) % 20 for i in range(words)}))
        taken = [word for _, used in live for word in used]
        assert len(taken) == len(set(taken))


def test_an_empty_ring_takes_anything_up_to_its_size():
    for wraps in (False, True):
        ring = Ring(8, wraps)
        key = object()
        ring.take(5, key)
        ring.release(key)
        assert ring.fits(8) and not ring.fits(9)


def test_space_comes_back_in_order():
    ring = Ring(8, wraps=True)
    first, second = object(), object()
    ring.take(4, first)
    ring.take(4, second)
    ring.release(second)
    assert not ring.fits(1)
    ring.release(first)
    assert ring.fits(8)
