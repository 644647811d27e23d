"""The calibration of a board: the errors of its predictions, their range, a resource model.

One JSON file per board, written by ``python -m nas.calibrate`` and read by every command that
predicts. The files of the boards of this package lie beside the boards' own.
"""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from nas.cost.records import (
    SEED_HELD_OUT,
    SIZES,
    CalibrationRecord,
    LatencyRecord,
    PowerModel,
    ResourceRecord,
    predicted,
)
from nas.cost.subnets import sample_subnets
from rtl import config
from rtl.board import Board
from rtl.build.utilization import read_utilization
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.files import atomic_write
from rtl.resources.model import ResourceModel

SCHEMA = 2
PROBES = 2  # held-out networks and engines that every command predicts again
AGAIN = "run python -m nas.calibrate again"


class Calibration(CalibrationRecord):
    """The content of a calibration file: all that ``python -m nas.calibrate`` finds out of a board.

    Parameters
    ----------
    schema_version : int
    board, device : str
        Name of the board, and its part.
    latency : LatencyRecord
    resources : ResourceRecord
    speedup : float
        How many times as fast the timing model is as the simulation, on DeiT-S or on the longest
        network that the engine runs.
    seconds : dict of str to float
        Time of each stage and in ``total``, of all runs that measured.
    power : PowerModel, optional
        Energy of a product, from a vendor's report; without it, energy is uncalibrated.
    """

    schema_version: Literal[2] = SCHEMA
    board: str
    device: str
    latency: LatencyRecord
    resources: ResourceRecord
    speedup: float
    seconds: dict[str, float]
    power: PowerModel | None = None

    # ------------------------------------------------------------ file

    @classmethod
    def load(cls, path: Path, board: Board | None = None) -> "Calibration":
        """Read a file. If it is missing, the remedy names the board.

        Raises
        ------
        UserError
            If it is missing, damaged, or of another version.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            version = data.get("schema_version") if isinstance(data, dict) else None
            if version != SCHEMA:
                raise UserError(f"calibration of version {version!r}, expected {SCHEMA}: {AGAIN}")
            found = cls.model_validate(data)
            ResourceModel.from_json(found.resources.model)
            if lacking := set(SIZES).difference(found.latency.ranges):
                raise ValueError(f"latency.ranges lacks {min(lacking)!r}")
            return found
        except FileNotFoundError:
            name = board.option if board else "NAME"
            raise UserError(
                f"no calibration {path}: python -m nas.calibrate --board {name} makes it"
            ) from None
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(f"{path}: {where}: {first['msg'].lower()}: {AGAIN}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: damaged: {error}: {AGAIN}") from None

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        with atomic_write(path, "w") as file:
            json.dump(self.model_dump(mode="json"), file, indent=1)
            file.write("\n")

    # ------------------------------------------------------------ use

    def require(self, board: Board) -> None:
        """Refuse the calibration of another board.

        Raises
        ------
        UserError
            If name or device differ.
        """
        if (self.board, self.device) != (board.name, board.device):
            raise UserError(
                f"the calibration is of board '{self.board}' ({self.device}), not of"
                f" '{board.name}' ({board.device}): run python -m nas.calibrate"
                f" --board {board.option}"
            )

    def is_of(self, engine: EngineConfig) -> bool:
        """Whether the calibration was made with this very engine."""
        return self.latency.engine_hash == f"{engine.hash:016x}"

    def outdated(self, board: Board, probes: int = PROBES) -> list[str]:
        """Return what differs now from what the calibration was made with, in words.

        Held-out networks are compiled and predicted again, and held-out engines predicted.

        Parameters
        ----------
        board : Board
            The board that the calibration is of.
        probes : int
            Number of networks, and of engines.
        """
        engine = config.engine(board.engine)
        if not self.is_of(engine):
            return ["another engine"]
        rows = self.latency.held_out[:probes]
        samples = sample_subnets(board, engine, len(rows), SEED_HELD_OUT)
        then = [(row.program, row.predicted) for row in rows]
        now = [predicted(sample, engine) for sample in samples]
        if [program for program, _ in then] != [program for program, _ in now]:
            changed = ["other programs of the compiler"]
        else:
            changed = ["another timing model"] if then != now else []
        if self.resources.outdated(probes):
            changed.append("another resource model")
        return changed

    def warning(self, board: Board) -> str | None:
        """Return one line about what has changed since, for a command to print; None if nothing."""
        changed = self.outdated(board)
        if not changed:
            return None
        return (
            f"the calibration of board '{self.board}' was made with {' and '.join(changed)}: its"
            f" errors may not hold, python -m nas.calibrate --board {board.option} renews it"
        )

    @property
    def resource_model(self) -> ResourceModel:
        """The resource model for the board's kind of device."""
        return ResourceModel.from_json(self.resources.model)

    # ------------------------------------------------------------ imported reports

    def with_utilization(self, engine: EngineConfig, report: Path) -> "Calibration":
        """Scale the resource model to a text of Vivado's ``report_utilization``.

        Parameters
        ----------
        engine : EngineConfig
            The engine that the report is of.
        report : Path
            Text file, flat or hierarchical.
        """
        return self._with_model(self.resource_model.refit(engine, read_utilization(report)))

    def with_imports(self, before: "Calibration") -> "Calibration":
        """Take over the imported reports of an older calibration of the same engine."""
        old = before.resource_model
        model = replace(self.resource_model, reference=old.reference, scales=old.scales)
        return self._with_model(model).model_copy(update={"power": before.power})

    def imports(self) -> list[str]:
        """Return the kinds of reports that were imported."""
        kinds = {"utilization": self.resource_model.scales, "power": self.power}
        return [kind for kind, content in kinds.items() if content]

    def _with_model(self, model: ResourceModel) -> "Calibration":
        resources = self.resources.model_copy(update={"model": model.to_json()})
        return self.model_copy(update={"resources": resources})


def find(board: Board) -> Calibration | None:
    """Return the calibration of a board, if there is one beside the board's file.

    Raises
    ------
    UserError
        If it is damaged, of another version, or of another board.
    """
    path = board.calibration
    if path is None or not path.is_file():
        return None
    found = _load(path, path.stat().st_mtime_ns)
    found.require(board)
    return found


def power_model(board: Board) -> PowerModel:
    """Return the energy of a product on a board.

    Raises
    ------
    UserError
        If no power report was imported for the board.
    """
    found = find(board)
    if found is None or found.power is None:
        raise UserError(
            f"energy is uncalibrated on board '{board.name}': import a power report with"
            f" python -m nas.calibrate --board {board.option} --power REPORT --network MODEL"
        )
    return found.power


@cache
def _load(path: Path, changed: int) -> Calibration:
    """Read a file once, and again when it has changed."""
    return Calibration.load(path)
