"""The collector is paused for as long as it says, whatever happens meanwhile."""

import gc

import pytest

from rtl.compiler.collector import collector_paused


@collector_paused()
def enabled() -> bool:
    return gc.isenabled()


def test_it_is_paused_inside_and_back_afterwards():
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    assert not enabled() and gc.isenabled()


def test_an_error_brings_it_back():
    with pytest.raises(ValueError), collector_paused():
        raise ValueError
    assert gc.isenabled()


def test_whoever_has_switched_it_off_keeps_it_off():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
