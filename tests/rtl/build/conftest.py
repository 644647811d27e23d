"""A small engine to build, and builds that are quick."""

import pytest

from rtl.build import __main__ as build
from tests.rtl.sizes import SMALL


@pytest.fixture
def small(monkeypatch):
    """A small engine under the name ``small``; Vivado is nowhere."""
    monkeypatch.setitem(build.config.ENGINES, "small", SMALL)
    monkeypatch.setattr(build, "find_vivado", lambda: None)


WITHOUT_VERILOG = {
    "Engine": lambda engine, **_: engine,
    "emit_rtlil": lambda *_: "",
    "verilog_of": lambda *_, **__: "",
    "zynq_verilog": lambda *_: "",
}


@pytest.fixture
def quick(monkeypatch):
    """A build without elaboration, for what does not look into the Verilog."""
    for name, stand_in in WITHOUT_VERILOG.items():
        monkeypatch.setattr(build, name, stand_in)
