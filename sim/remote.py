"""A simulation that a program outside commands, call by call; in between it stands still.

The simulation runs in a process of its own, whose bench takes commands from a socket: a line of
JSON each, answered by one with a value and the simulation's time (:mod:`sim.benches.commands`).
"""

import json
import socket
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rtl.errors import DeviceError
from sim.toolchain.simulation import Build, SimulationError


class RemoteSimulation:
    """A running simulation.

    Parameters
    ----------
    build : Build
    bench : str
        Module of the bench, which serves commands.
    job : dict
        What the bench is told at the start.
    plusargs : sequence of str
    folder : Path, optional
        In which it runs; by default a temporary one.

    Raises
    ------
    SimulationError
        If it ends before it takes commands.
    """

    def __init__(
        self,
        build: Build,
        bench: str,
        job: dict[str, Any],
        *,
        plusargs: Sequence[str] = (),
        folder: Path | None = None,
    ):
        self.time = 0  # as of the last answer, in the bench's unit
        self._ended: SimulationError | None = None
        self._temporary = tempfile.TemporaryDirectory(prefix="pulsar-remote-")
        place = folder or Path(self._temporary.name)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(Path(self._temporary.name) / "socket"))
        self._listener.listen(1)
        path = place / "job.json"
        path.write_text(json.dumps(job | {"socket": self._listener.getsockname()}))

        def simulate() -> None:
            try:
                build.run(bench, env={"PULSAR_JOB": str(path)}, plusargs=plusargs, directory=place)
            except SimulationError as error:
                self._ended = error
            finally:
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for a connection

        self._simulation = threading.Thread(target=simulate, daemon=True)
        self._simulation.start()
        try:
            self._connection = self._listener.accept()[0]
        except OSError:
            raise self._gone() from None
        self._lines = self._connection.makefile("rw", encoding="ascii")

    def call(self, *command: str | float) -> Any:
        """Have the bench do something, and return its value.

        Raises
        ------
        SimulationError
            If the simulation has ended with an error.
        DeviceError
            If it was closed.
        """
        try:
            self._lines.write(json.dumps(command) + "\n")
            self._lines.flush()
            line = self._lines.readline()
        except (OSError, ValueError):
            line = ""
        if not line:
            raise self._gone()
        value, self.time = json.loads(line)
        return value

    def close(self) -> None:
        """End the simulation; twice does no harm."""
        if self._simulation.is_alive():
            self._connection.shutdown(socket.SHUT_RDWR)
        self._simulation.join()
        self._lines.close()
        self._connection.close()
        self._listener.close()
        self._temporary.cleanup()

    def _gone(self) -> Exception:
        self._simulation.join()
        return self._ended or DeviceError("the simulation was closed: open it again")
