"""The engine: control, units, scratchpads and memory port. Wiring only."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.attention.softmax import SoftmaxUnit
from rtl.config import EngineConfig
from rtl.control.unit import ControlUnit
from rtl.link import link
from rtl.matmul.unit import MatmulUnit
from rtl.memory import scratchpad
from rtl.vector.layernorm import NormUnit
