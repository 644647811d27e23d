"""A LOAD whose bytes are on their way: what the loaders are told."""

from amaranth.lib import data
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.isa.instructions import Opcode
from rtl.isa.layouts import dispatch_layout

LOAD = dispatch_layout(Opcode.LOAD)


def transfer_layout(config: EngineConfig) -> data.StructLayout:
    """A LOAD whose data are on their way; ``first`` is its first byte's place in a beat."""
    return data.StructLayout({"load": LOAD, "first": exact_log2(config.memory_bytes)})
