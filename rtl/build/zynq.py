"""Verilog of the top for a Zynq UltraScale+."""

from rtl.build.verilog import annotated, verilog_of
from rtl.config import EngineConfig
from rtl.lib.emit import emit_rtlil
from rtl.soc.zynq import ZynqTop


def zynq_verilog(engine: EngineConfig, module: str) -> str:
    """Return the Verilog of module ``MODULE_top``, around the engine's ``module``.

    The engine is not in it: that is a file of its own, so that it is counted and placed alone.
    """
    top = ZynqTop(engine, module)
    text = verilog_of(emit_rtlil(top, f"{module}_top"), assertions=False)
    return annotated(text, f"{module}_top", top.attributes())
