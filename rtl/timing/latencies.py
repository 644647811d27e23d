"""Pipeline constants of an engine, taken from its RTL."""

from functools import cache

from rtl.config import EngineConfig
from rtl.control.completion import InFlight
from rtl.control.fetch import Fetch
from rtl.control.semaphores import Issue
from rtl.lib.streams import Queue
from rtl.matmul.unit import MatmulUnit
from rtl.memory.load.check import LoadCheck
from rtl.memory.load.unit import LoadUnit
from rtl.memory.regions import RegionCheck
from rtl.memory.store import StoreUnit
from rtl.timing.units import UnitLatencies
from rtl.vector.layernorm import NormUnit
from rtl.vector.softmax import SoftmaxUnit


@cache
def unit_latencies(config: EngineConfig) -> UnitLatencies:
    """Read the constants of an engine's units; those that the RTL does not name keep a default."""
    return UnitLatencies(
        decode=Fetch.DECODE_CYCLES,
        queue=Queue.LATENCY,
        issue=Issue.LATENCY,
        matmul_start=MatmulUnit.START_CYCLES,
        matmul_finish=MatmulUnit.finish_cycles(config),
        norm_pair=NormUnit.pair_cycles(config),
        norm_done=NormUnit.DONE_CYCLES,
        softmax_done=SoftmaxUnit.done_cycles(config),
        load_check=LoadCheck.LATENCY,
        load_gap=LoadUnit.CYCLES,
        store_check=RegionCheck.LATENCY + 2,
        store_word=StoreUnit.FIRST_CYCLES,
        end=InFlight.SETTLE,
    )
