"""Run many programs, each with one flipped bit, one after another in one simulation.

The job of sim/flips.py is in the file that ``PULSAR_JOB`` names; the result goes beside it.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from sim.benches.host import Host


@cocotb.test()
async def flips(dut: Any) -> None:
    """Start each program; note the error register, 0 if the run ended without a fault."""
    path = Path(os.environ["PULSAR_JOB"])
    job = json.loads(path.read_text())
    host = Host(dut)
    await host.power_on(**job["memory"])
    errors = []
    for program, output in job["runs"]:
        await host.command("reset")
        while "resetting" in await host.status():
            await ClockCycles(dut.clk, 8)
        place = {"program_address": program, "output_base": output}
        place["output_limit"] = output + job["output_bytes"]
        for name, value in (job["registers"] | place).items():
            await host.write(name, value)
        await host.command("start")
        await host.wait_for_interrupt(job["limit_cycles"])
        failed = "error" in await host.status()
        errors.append(await host.read("error") if failed else 0)
    path.with_name("result.json").write_text(json.dumps(errors))
