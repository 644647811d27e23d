"""An engine that a driver outside the simulation uses: the simulator's end of sim/device.py."""

from typing import Any

import cocotb

from sim.benches.commands import read_job, serve
from sim.benches.host import Host


@cocotb.test()
async def device(dut: Any) -> None:
    """Do what is asked for, until the driver closes its end."""
    job, host = read_job(), Host(dut)
    await host.power_on(**job["memory"])

    async def wait(cycles: int) -> None:
        """Let time pass until the interrupt comes, or the limit."""
        try:
            await host.wait_for_interrupt(cycles)
        except TimeoutError:
            pass

    async def setting(name: str, value: int) -> None:
        """Change a setting of the memory."""
        getattr(host.dut, name).value = value

    commands = {
        "read": host.read_word,
        "write": host.write_word,
        "wait": wait,
        "setting": setting,
    }
    await serve(job, commands, lambda: host.cycle)
