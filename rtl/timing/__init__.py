"""The exact timing model: cycles of a program, instruction by instruction."""

from rtl.timing.fingerprint import fingerprint
from rtl.timing.port import MemoryTiming
from rtl.timing.simulate import Prediction, predict, simulate
from rtl.timing.units import UnitLatencies

__all__ = ["MemoryTiming", "Prediction", "UnitLatencies", "fingerprint", "predict", "simulate"]
