"""Run a compiled network on the engine: one start for all images, which overlap.

The job comes from the file in ``PULSAR_JOB`` and the result goes beside it; sim/runner.py writes
one and reads the other.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb

from boards.host.faults import fault_text
from rtl.isa.instructions import Unit
from sim.benches.host import Host

COUNTED = ("busy", "starved", *(f"waits_for_{unit.name.lower()}" for unit in Unit))
COUNTED += tuple(f"stall_{cause}" for cause in range(4))


@cocotb.test()
async def network(dut: Any) -> None:
    """Classify the job's images."""
    path = Path(os.environ["PULSAR_JOB"])
    job = json.loads(path.read_text())
    host = Host(dut)
    await host.power_on(**job["memory"])
    for name, value in job["registers"].items():
        await host.write(name, value)
    await host.write("irq_enable", 3)  # at the end of each image, too
    await host.command("start")
    done: list[int] = []  # cycles from the start to the end of each image
    last_cycle = host.cycle  # of the latest one's end
    status: set[str] = set()
    while "done" not in status:
        await host.wait_for_interrupt(job["limit_cycles"])
        interrupted = host.cycle
        await host.command("irq_clear")
        status = await host.status()
        if newly := await _newly_done(host, len(done)):
            done, last_cycle = done + newly, interrupted
        path.with_name("images_done").write_text(str(len(done)))
    result = {"done": done, "last_cycle": last_cycle, **await _result(host, status)}
    path.with_name("result.json").write_text(json.dumps(result))


async def _newly_done(host: Host, known: int) -> list[int]:
    """Return cycles from the start to the end of an image done since the last interrupt."""
    images, cycles = await host.read("images_done"), await host.read("cycles_last")
    assert images <= known + 1, "images are done faster than the host asks for their cycles"
    return [cycles] if images > known else []


async def _result(host: Host, status: set[str]) -> dict[str, Any]:
    """Counters of the run that has just ended, and the fault if there was one."""
    result: dict[str, Any] = {"error": None}
    if "error" in status:
        result["error"] = fault_text(await host.read("error"))
    result["counters"] = {
        unit.name.lower(): {
            event: await host.read(f"{unit.name.lower()}_{event}") for event in COUNTED
        }
        for unit in Unit
    }
    return result
