"""The exact timing model: cycles of a program, instruction by instruction.

- ``units``: what each unit takes for an instruction
- ``selection``: when tokens are selected, beside softmax
- ``latencies``: pipeline constants, from the RTL of an engine
- ``port``: when memory answers, and what the program's reads wait for
- ``fetch``: when instructions are decoded into the queues of their units
- ``loads``: the load unit, burst by burst
- ``simulate``: all of these together: cycles of a program
- ``breakdown``: where the cycles of the matmul unit go
- ``traffic``: what an image moves and multiplies, counted from the program
- ``bound``: lower bounds and work of a network, without a program
- ``report``: the static report of a compiled program
- ``fingerprint``: changes whenever predicted cycles may

Source: docs/design/0004-timing.md.
"""

from rtl.timing.fingerprint import fingerprint
from rtl.timing.latencies import UnitLatencies
from rtl.timing.port import MemoryTiming
from rtl.timing.simulate import Prediction, predict, simulate

__all__ = ["MemoryTiming", "Prediction", "UnitLatencies", "fingerprint", "predict", "simulate"]
