"""Memory as an engine sees it through the ports of a board, for the timing model."""

from dataclasses import replace

from rtl.soc.interleaver import Interleaver
from rtl.soc.narrowing import WriteNarrower
from rtl.soc.pieces import MemoryPorts
from rtl.timing import MemoryTiming


def through_ports(memory: MemoryTiming, data_bytes: int, ports: MemoryPorts) -> MemoryTiming:
    """Return a memory behind the interleaver: at most what the ports carry, and a little later.

    Parameters
    ----------
    memory : MemoryTiming
        Behind the ports, all together.
    data_bytes : int
        Bytes per beat of the engine.
    ports : MemoryPorts
    """
    return replace(
        memory,
        bytes_per_cycle=min(memory.bytes_per_cycle, ports.count * ports.bytes),
        latency_cycles=memory.latency_cycles + Interleaver.latency(data_bytes, ports),
        answer_cycles=memory.latency_cycles + WriteNarrower.latency(data_bytes, ports),
        written_per_cycle=ports.bytes,
    )
