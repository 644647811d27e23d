"""Vendors' devices, known by the names of their parts: one table."""

import enum
import re
from dataclasses import dataclass

NO_DEVICE = "verilator"  # the device of boards that are simulated alone


class Primitives(enum.Enum):
    """Families of devices whose primitives components can be made of."""

    ULTRASCALE = "ultrascale"
    """AMD UltraScale and UltraScale+: DSP48E2, LUTs, CARRY8."""
    ECP5 = "ecp5"
    """Lattice ECP5: products that MULT18X18D take, each inferred."""


@dataclass(frozen=True)
class DeviceKind:
    """Devices that are alike.

    Parameters
    ----------
    name : str
        What the vendor calls them.
    parts : str
        Pattern of how their parts' names begin, in lower case.
    synthesis : str, optional
        Key of rtl.build.synthesis.FAMILIES; without it nobody counts their cells.
    primitives : Primitives, optional
        Those that components can be made of; without it everything is inferred.
    is_amd : bool
        Whether Vivado is the vendor's tool.
    """

    name: str
    parts: str
    synthesis: str | None = None
    primitives: Primitives | None = None
    is_amd: bool = False


def _amd(name: str, parts: str) -> DeviceKind:
    return DeviceKind(name, parts, is_amd=True)


KINDS = (
    # Zynq (xczu), Artix, Kintex, Virtex, Spartan (xcau, xcku, xcvu, xcsu), Kria (xck26), Alveo
    # (xcu250); xa and xq are the same for cars and for harsh places.
    DeviceKind(
        "AMD UltraScale or UltraScale+",
        r"x[acq](zu|[akvs]u|k\d|u\d)",
        "xilinx",
        Primitives.ULTRASCALE,
        is_amd=True,
    ),
    DeviceKind("Lattice ECP5", "lfe5", "ecp5", Primitives.ECP5),
    _amd("AMD 7 series", r"x[acq]7"),
    _amd("AMD Versal", r"x[acq]v[cehmpr]\d"),
    _amd("AMD device from before the 7 series", r"x[acq]\d"),
    DeviceKind("Gowin", r"gw\d"),
    DeviceKind("Lattice iCE40", "ice40"),
    DeviceKind("Lattice Nexus", r"lifcl|lfd2nx|lfcpnx|lfmxo5|ut24c"),
    DeviceKind("Altera Cyclone", r"ep[1-4]c|5c[egs]|10c[lx]|cyclone"),
)
"""Kinds of devices; the first whose pattern fits a part is the part's."""


def kind_of(device: str) -> DeviceKind | None:
    """Kind of a vendor's part, by its name in any case; None of one that the table lacks."""
    return next((kind for kind in KINDS if re.match(kind.parts, device.lower())), None)


def primitives_of(device: str) -> Primitives | None:
    """Primitives of a vendor's part, by its name; None where everything is inferred."""
    kind = kind_of(device)
    return kind.primitives if kind else None


def is_zynq(device: str) -> bool:
    """Tell whether a part, by its name in any case, is a Zynq UltraScale+ or on a Kria module."""
    return re.match(r"x[acq](zu|k2\d)", device.lower()) is not None
