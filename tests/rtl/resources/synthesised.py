"""Parts of an engine through Yosys, module by module, as a calibration does it."""

from amaranth.lib import wiring

from nas.cost.kept import KeptResults
from nas.cost.module_cells import measure
from rtl.build.synthesis import Utilization
from rtl.lib.devices import primitives_of
from rtl.lib.emit import emit_rtlil

DEVICES = {"xilinx": "xczu9eg-ffvb1156-2-e", "ecp5": "LFE5U-85F-6BG381C"}


def synthesised(component: wiring.Component, family: str) -> Utilization:
    device = DEVICES[family]
    rtlil = emit_rtlil(component, "top", primitives_of(device))
    return measure(rtlil, "top", device, KeptResults())
