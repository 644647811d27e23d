"""Run a compiled network on the engine: one start per picture, no reset in between.

The job comes from the file in ``PULSAR_JOB`` and the result goes beside it; sim/runner.py writes
one and reads the other.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb

from rtl.control.faults import FETCH, FaultCode
from rtl.control.isa import Unit
from sim.host import Host

COUNTED = ("busy", "starved", *(f"waits_for_{unit.name.lower()}" for unit in Unit))
COUNTED += tuple(f"stall_{cause}" for cause in range(4))


@cocotb.test()
async def network(dut: Any) -> None:
    """Classify the job's pictures."""
    path = Path(os.environ["PULSAR_JOB"])
    job = json.loads(path.read_text())
    host = Host(dut)
    await host.power_on(**job["memory"])
    for name, value in job["registers"].items():
        await host.write(name, value)
    runs = []
    for image, output in job["images"]:
        await host.write("image_base", image)
        await host.write("image_limit", image + job["image_bytes"])
        await host.write("output_base", output)
        await host.write("output_limit", output + job["output_bytes"])
        first_cycle = host.cycle
        await host.command("start")
        await host.wait_for_interrupt(job["limit_cycles"])
        runs.append(await _result(host, first_cycle))
        path.with_name("images_done").write_text(str(len(runs)))
        if runs[-1]["error"]:
            break
        await host.command("irq_clear")
    path.with_name("result.json").write_text(json.dumps(runs))


async def _result(host: Host, first_cycle: int) -> dict[str, Any]:
    """Cycles and counters of the run that has just ended, and the fault if there was one."""
    result: dict[str, Any] = {
        "first_cycle": first_cycle,
        "last_cycle": host.cycle,
        "cycles": await host.read("cycles"),
        "error": None,
    }
    if "error" in await host.status():
        result["error"] = _describe(await host.read("error"))
    for unit in Unit:
        result[unit.name.lower()] = {
            event: await host.read(f"{unit.name.lower()}_{event}") for event in COUNTED
        }
    return result


def _describe(error: int) -> str:
    """The error register in words."""
    unit = error >> 4 & 15
    where = "fetch" if unit == FETCH else Unit(unit).name.lower()
    return f"fault {FaultCode(error & 15).name} in {where}, instruction {error >> 8}"
