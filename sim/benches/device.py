"""An engine that a driver outside the simulation uses: the simulator's end of sim/device.py.

Commands come over a socket, a line of JSON each, and are answered one by one. While none is there
the simulator waits in Python, and no time passes on the engine.
"""

import json
import os
import socket
from pathlib import Path
from typing import Any

import cocotb

from sim.benches.host import Host


@cocotb.test()
async def device(dut: Any) -> None:
    """Do what is asked for, until the driver closes its end."""
    job = json.loads(Path(os.environ["PULSAR_JOB"]).read_text())
    host = Host(dut)
    await host.power_on(**job["memory"])
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(job["socket"])
        with connection.makefile("rw", encoding="ascii") as lines:
            for line in lines:
                name, *arguments = json.loads(line)
                value = await COMMANDS[name](host, *arguments) or 0
                lines.write(json.dumps([value, host.cycle]) + "\n")
                lines.flush()


async def read(host: Host, offset: int) -> int:
    """Read a register's word."""
    return await host.read_word(offset)


async def write(host: Host, offset: int, value: int) -> None:
    """Write a register's word."""
    await host.write_word(offset, value)


async def wait(host: Host, cycles: int) -> None:
    """Let time pass until the interrupt comes, or the limit."""
    try:
        await host.wait_for_interrupt(cycles)
    except TimeoutError:
        pass


async def setting(host: Host, name: str, value: int) -> None:
    """Change a setting of the memory."""
    getattr(host.dut, name).value = value


COMMANDS = {"read": read, "write": write, "wait": wait, "setting": setting}
