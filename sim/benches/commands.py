"""A bench's end of :class:`sim.remote.RemoteSimulation`: commands over a socket, one by one.

While none is there the simulator waits in Python, and no time passes in the simulation.
"""

import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any


def read_job() -> dict[str, Any]:
    """Return what the simulation was told at its start."""
    return json.loads(Path(os.environ["PULSAR_JOB"]).read_text())


async def serve(
    job: Mapping[str, Any],
    commands: Mapping[str, Callable[..., Awaitable[Any]]],
    time: Callable[[], float],
) -> None:
    """Do what is asked for, until the other end closes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(job["socket"])
        with connection.makefile("rw", encoding="ascii") as lines:
            for line in lines:
                name, *arguments = json.loads(line)
                value = await commands[name](*arguments)
                lines.write(json.dumps([value, time()]) + "\n")
                lines.flush()
