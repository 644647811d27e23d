"""Resources of a design, counted by Yosys with the design's hierarchy kept."""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rtl.arith.ultrascale import PAIRED
from rtl.build.verilog import yosys
from rtl.errors import ToolError, UserError
from rtl.lib.devices import NO_DEVICE, kind_of


@dataclass(frozen=True)
class Resources:
    """Resources as a board's limits count them; ``+`` adds, ``*`` multiplies.

    Parameters
    ----------
    dsp : int
        Hard multipliers.
    lut, ff : int
        Look-up tables, with those that serve as memory or shift register, and flip-flops.
    bram36 : float
        Block memories of 36 kbit; one of 18 kbit is a half.
    uram : int
        UltraRAMs, of 288 kbit.
    """

    dsp: int = 0
    lut: int = 0
    ff: int = 0
    bram36: float = 0
    uram: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            self.dsp + other.dsp,
            self.lut + other.lut,
            self.ff + other.ff,
            self.bram36 + other.bram36,
            self.uram + other.uram,
        )

    def __mul__(self, count: int) -> "Resources":
        return Resources(
            count * self.dsp,
            count * self.lut,
            count * self.ff,
            count * self.bram36,
            count * self.uram,
        )

    def values(self) -> tuple[float, ...]:
        return tuple(asdict(self).values())


NOTHING, LUT, FF, DSP = Resources(), Resources(lut=1), Resources(ff=1), Resources(dsp=1)


@dataclass(frozen=True)
class DeviceFamily:
    """Family of devices: Yosys' synthesis for it, and the cost of its cells.

    Parameters
    ----------
    script : str
        Yosys commands with ``{top}``. They are those of ``synth_xilinx`` or ``synth_lattice``,
        with ``abc`` in the place of ``abc9``: the latter makes Yosys' WebAssembly build exit
        without a message (YoWASP/yosys issue 29).
    cells : mapping of str to Resources
    """

    script: str
    cells: Mapping[str, Resources]


FAMILIES = {
    "xilinx": DeviceFamily(
        script="""
            synth_xilinx -family xcup -noiopad -noclkbuf -top {top} -run :map_luts
            opt_expr -mux_undef -noclkinv
            abc -luts 2:2,3,6:5,10,20
            clean
            xilinx_srl -fixed -minlen 3
            techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6
            xilinx_dffopt
            opt_lut_ins -tech xilinx
            clean
        """,
        cells={
            **{f"LUT{n}": LUT for n in range(1, 7)},
            "LUT6_2": LUT,
            "INV": LUT,  # most of them vanish when the vendor's tool places the design
            **dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE", "LDCE", "LDPE"), FF),
            "DSP48E2": DSP,
            "RAMB36E2": Resources(bram36=1),
            "RAMB18E2": Resources(bram36=0.5),
            "URAM288_BASE": Resources(uram=1),
            # LUTs of a slice M as shift registers and memories.
            **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E"), LUT),
            **dict.fromkeys(("RAM32X1S", "RAM64X1S"), LUT),
            **dict.fromkeys(("RAM32X1D", "RAM64X1D", "RAM128X1S"), LUT * 2),
            **dict.fromkeys(("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S"), LUT * 4),
            **dict.fromkeys(("RAM32M16", "RAM64M8", "RAM256X1D", "RAM512X1S"), LUT * 8),
            "PAIRED_LUT": NOTHING,
            # Carry chains and wide multiplexers come with the LUTs in front of them.
            **dict.fromkeys(("CARRY4", "CARRY8", "MUXF7", "MUXF8", "MUXF9"), NOTHING),
            **dict.fromkeys(("GND", "VCC"), NOTHING),
        },
    ),
    "ecp5": DeviceFamily(
        script="""
            synth_lattice -family ecp5 -noflatten -top {top} -run :map_luts
            techmap -map +/lattice/latches_map.v
            abc -lut 4:7
            clean
            techmap -map +/lattice/cells_map_trellis.v
            opt_lut_ins -tech lattice
            clean
        """,
        cells={
            "LUT4": LUT,
            "CCU2C": LUT * 2,
            "TRELLIS_FF": FF,
            # Four LUTs that hold 16 x 4 bits, and the two through which the data is written.
            "TRELLIS_DPR16X4": LUT * 6,
            "MULT18X18D": DSP,
            "DP16KD": Resources(bram36=0.5),
            "PDPW16KD": Resources(bram36=0.5),
            # Multiplexers of a slice, which come with the LUTs in front of them.
            **dict.fromkeys(("PFUMX", "L6MUX21"), NOTHING),
        },
    ),
}


# Nothing here depends on what a read returns of a word that is being written (as the scratchpads
# say; Amaranth's queues never do it): without this, ECP5's memories get logic that returns the old.
# The second line is for a memory with two write ports (rtl.soc.memory).
COLLISIONS = """
            setparam -set COLLISION_X_MASK 1'1 r:CLK_ENABLE=1 r:TRANSPARENCY_MASK=1'0 %i
            setparam -set COLLISION_X_MASK 2'b11 r:CLK_ENABLE=1 r:TRANSPARENCY_MASK=2'b00 %i
"""


# Two functions that share the place of one LUT (rtl.arith.ultrascale): one of them counts.
PAIRED_LUT = "PAIRED_LUT"
PAIRS = f"chtype -set {PAIRED_LUT} a:HLUTNM c:*{PAIRED}* %i"


def family_of(device: str) -> str:
    """Return the key of :data:`FAMILIES` for a vendor's part name.

    Where there is no part, as for the board ``sim``, counts are those of an UltraScale+.

    Raises
    ------
    UserError
        If the part is of another family: its cells would be counted wrongly.
    """
    kind = kind_of(device)
    if kind and kind.synthesis:
        return kind.synthesis
    if device == NO_DEVICE:
        return "xilinx"
    what = f"it is of {kind.name}; only" if kind else "only"
    raise UserError(
        f"resources of device {device!r} cannot be counted: {what} those of AMD UltraScale and"
        " UltraScale+ (xczu, xck, xcau, xcku, xcvu, xcsu, xcu) and of Lattice ECP5 (LFE5) can be"
    )


@dataclass(frozen=True)
class Module:
    """One kind of module.

    Parameters
    ----------
    instances : int
        How many there are in the whole design.
    own : Resources
        Resources of one instance, without the modules inside it.
    """

    instances: int
    own: Resources


@dataclass(frozen=True)
class Utilization:
    """Resources of a design.

    Parameters
    ----------
    total : Resources
    units : dict of str to Resources
        Resources of each module that the top instantiates, with all that is inside; with the
        top's own resources they make the total.
    modules : dict of str to Module
        Every kind of module, by its name.
    """

    total: Resources
    units: dict[str, Resources]
    modules: dict[str, Module]


@dataclass(frozen=True)
class Synthesis:
    """A synthesised design, with its counts.

    Parameters
    ----------
    used : Utilization
    netlist : dict
        Yosys' ``write_json`` of the design's own modules, for rtl.build.netlist.
    statistics : dict
        Yosys' ``stat -json``, by module.
    """

    used: Utilization
    netlist: dict
    statistics: dict


def synthesise(rtlil: str, top: str, device: str, *, flatten: bool = False) -> Synthesis:
    """Synthesise RTLIL text for ``device`` with its hierarchy kept, and count cells.

    A module that is instantiated n times is synthesised once and counted n times.

    Parameters
    ----------
    rtlil : str
        The design.
    top : str
        Name of its top module.
    device : str
        The part, as the vendor's tool calls it.
    flatten : bool
        Keep the units that the top instantiates and the blocks that repeat, and no other module:
        nearer to what vendors' tools make of a design, but the units' parts are not told apart.

    Raises
    ------
    ToolError
        If Yosys fails, or leaves cells that its family's table does not know.
    """
    family = FAMILIES[family_of(device)]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "design.il").write_text(rtlil)
        script = f"""
            read_rtlil design.il
            {COLLISIONS}
            chformal -remove
            proc
            opt_clean -purge
            {_flatten(rtlil, top) if flatten else ""}
            {family.script.format(top=top)}
            select =A:blackbox =A:whitebox %u %n
            write_json -selected netlist.json
            select -clear
            {PAIRS}
            tee -q -o statistics.json stat -json
        """
        Path(folder, "synthesis.ys").write_text(script)
        yosys(["-q", "synthesis.ys"], cwd=Path(folder))
        statistics = json.loads(Path(folder, "statistics.json").read_text())["modules"]
        netlist = json.loads(Path(folder, "netlist.json").read_text())
    return Synthesis(count(statistics, top, family.cells), netlist, statistics)


def _flatten(rtlil: str, top: str) -> str:
    """Return commands that flatten the design, but for the units and the blocks that repeat.

    Amaranth's names tell them: those of other modules contain a dot behind the top's name.
    """
    names = re.findall(r"^module \\(\S+)$", rtlil, re.M)
    kept = [name for name in names if "." not in name.removeprefix(f"{top}.")]
    marks = [f"setattr -mod -set keep_hierarchy 1 {name}" for name in kept]
    return "\n".join([f"hierarchy -top {top}", *marks, "flatten -noscopeinfo"])


def count(statistics: dict, top: str, cells: Mapping[str, Resources]) -> Utilization:
    """Add up the modules of Yosys' ``stat -json``, each as often as it occurs below ``top``."""
    inside = {
        _plain(name): {_plain(kind): int(n) for kind, n in module["num_cells_by_type"].items()}
        for name, module in statistics.items()
    }
    own = {name: _own(name, inside, cells) for name in inside}
    instances: Counter[str] = Counter()

    def visit(name: str, times: int) -> Resources:
        """Count ``times`` more instances of a module; return what one is with all inside it."""
        instances[name] += times
        whole = own[name]
        for kind, n in inside[name].items():
            if kind in inside:
                whole += visit(kind, times * n) * n
        return whole

    total = visit(top, 1)
    seen = dict(instances)
    units = {kind: visit(kind, 0) * n for kind, n in inside[top].items() if kind in inside}
    return Utilization(total, units, {name: Module(n, own[name]) for name, n in seen.items()})


def _plain(name: str) -> str:
    return name.removeprefix("\\")


def _own(name: str, inside: dict[str, dict[str, int]], cells: Mapping[str, Resources]) -> Resources:
    own = NOTHING
    for kind, n in inside[name].items():
        if kind in inside:
            continue
        if kind not in cells:
            raise ToolError(f"Yosys left cells of an unknown kind, {n} {kind} in module {name}")
        own += cells[kind] * n
    return own
