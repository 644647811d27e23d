"""Pipeline constants of an engine, taken from its RTL."""

from dataclasses import dataclass
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
from rtl.vector.importance import ImportanceRows
from rtl.vector.layernorm import NormUnit
from rtl.vector.selection import TokenSelection
from rtl.vector.softmax import SoftmaxUnit
from rtl.vector.threshold import DIGITS, ThresholdSearch


@dataclass(frozen=True)
class UnitLatencies:
    """Pipeline constants in cycles. The defaults are TINY's.

    :func:`unit_latencies` takes them from the RTL of any engine. "Taken"
    is the cycle in which a unit accepts an instruction.

    Parameters
    ----------
    request : int
        Cycles from the start of a run to the command that reads the program.
    decode : int
        ``DECODE_CYCLES`` of :class:`rtl.control.fetch.Fetch`.
    queue : int
        ``LATENCY`` of :class:`rtl.lib.streams.Queue`.
    issue : int
        ``LATENCY`` of :class:`rtl.control.semaphores.Issue`: cycles from a queue's head to taken.
        The next one starts in the cycle after.
    signal : int
        Cycles from ``done`` to the semaphore.
    matmul_start, matmul_finish : int
        ``START_CYCLES`` and ``finish_cycles`` of :class:`rtl.matmul.unit.MatmulUnit`.
    norm_pair : int
        Cycles from the last beat of a pair's pass 1 to the first of its pass 2.
    norm_done, softmax_done : int
        Cycles from the last read to ``done``.
    softmax_landed : int
        Cycles from the last read until a row's sum, or a SELECT, is where selection begins.
    importance : int
        Cycles of adding a row to the importance of keys, beyond those of the keys.
    select_pass : int
        Cycles of a pass of SELECT beyond those of its words.
    select_rest : int
        Cycles of SELECT beyond its passes and pairs of tokens, until it lets others begin.
    load_check : int
        Cycles from taken until the next LOAD can be taken.
    load_gap : int
        Cycles between the data of two LOADs.
    load_done : int
        Cycles from the last write to ``done``.
    store_check : int
        Cycles from taken to the reading of the first word.
    store_word : int
        Cycles from the reading of the first word to its first beat.
    store_answer : int
        Cycles from the last beat to ``done``, without the memory's latency.
    end : int
        Cycles from the last ``done`` of an image's instructions to the end of the image.
    again : int
        Cycles from END, or from the end of the image that made room, to the command that reads
        the program again.
    """

    request: int = 2
    decode: int = 2
    queue: int = 2
    issue: int = 1
    signal: int = 1
    matmul_start: int = 4
    matmul_finish: int = 31
    norm_pair: int = 41
    norm_done: int = 17
    softmax_done: int = 44
    softmax_landed: int = 42
    importance: int = 13
    select_pass: int = 8
    select_rest: int = 16
    load_check: int = 7
    load_gap: int = 1
    load_done: int = 1
    store_check: int = 6
    store_word: int = 3
    store_answer: int = 3
    end: int = 8
    again: int = 2


@cache
def unit_latencies(config: EngineConfig) -> UnitLatencies:
    """Read the constants of an engine's units; those that the RTL does not name keep a default."""
    digit = ThresholdSearch.digit_cycles(config)
    rest = TokenSelection.cycles(config, patches=1, others=1) - DIGITS * digit - 1
    return UnitLatencies(
        decode=Fetch.DECODE_CYCLES,
        queue=Queue.LATENCY,
        issue=Issue.LATENCY,
        matmul_start=MatmulUnit.START_CYCLES,
        matmul_finish=MatmulUnit.finish_cycles(config),
        norm_pair=NormUnit.pair_cycles(config),
        norm_done=NormUnit.DONE_CYCLES,
        softmax_done=SoftmaxUnit.done_cycles(config),
        softmax_landed=SoftmaxUnit.landed_cycles(config),
        importance=ImportanceRows.START_CYCLES + ImportanceRows.DONE_CYCLES - 1,
        select_pass=digit - 1,
        select_rest=rest + 1,
        load_check=LoadCheck.LATENCY,
        load_gap=LoadUnit.CYCLES,
        store_check=RegionCheck.LATENCY + 2,
        store_word=StoreUnit.FIRST_CYCLES,
        end=InFlight.SETTLE,
    )
