"""DeiT's shapes on the ZCU102 engine through the interleaver: golden's words, and the cycles."""

import pytest

from rtl.board import load_board
from rtl.config import ZCU102
from rtl.soc.pieces import MemoryPorts
from sim import runner, tops, workloads

pytestmark = pytest.mark.zcu102
BOARD = load_board("zcu102")
CLOCKS = {  # ports, and memory in cycles of the engine's clock: 667 ns, at most 12.8 GB/s
    "engine at 150 MHz, two ports at 300": (
        MemoryPorts(2, 32),
        {"latency": 100, "bytes_per_cycle": 64 * 256},
    ),
    "300 MHz, two ports": (MemoryPorts(2, 16), {"latency": 200, "bytes_per_cycle": 10923}),
    "300 MHz, three ports": (MemoryPorts(3, 16), {"latency": 200, "bytes_per_cycle": 10923}),
}
MOST_CYCLES = {  # per image, by the clock
    "deit_tiny": (158_000, 158_000, 158_000),
    "deit_small": (537_000, 547_000, 541_000),
    "deit_base": (1_955_000, 2_000_000, 1_975_000),
}


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("name", MOST_CYCLES)
def test_cycles_through_the_ports(name, clock):
    ports, settings = CLOCKS[clock]
    model = workloads.deit(name, ZCU102, bits8=0.0, seed=0)
    images = workloads.photographs(model, 3)
    build = tops.build(ZCU102, ports)
    run = runner.run(model, images, BOARD, settings=settings, build=build)
    assert run.exact, run.first_mismatch
    limit = MOST_CYCLES[name][list(CLOCKS).index(clock)]
    assert run.cycles_per_image and run.cycles_per_image <= limit
