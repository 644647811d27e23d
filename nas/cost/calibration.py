"""A board's calibration: coefficients of the cost models, what they are good for, and their error.

One JSON file per board, written by ``python -m nas.calibrate`` and read by every command that
predicts. Those of the boards of this package lie beside the boards' own files.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from nas.cost.energy import PowerModel
from nas.cost.latency import Coefficients, LatencyModel
from nas.cost.sources import source_hashes
from rtl.board import Board
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.files import atomic_write
from rtl.model.shape import NetworkShape
from rtl.resources.model import FITTED, CountedEngine, ResourceModel
from rtl.timing import MemoryTiming
from rtl.timing.latencies import unit_latencies

SCHEMA = 1

Range = tuple[float, float]

SIZES = (
    "tokens", "patch_values", "width", "head_dim", "depth", "most_heads", "most_hidden", "classes",
    "mean_pool", "bytes_per_cycle", "latency_cycles",
)  # fmt: skip
"""Of a network and its memory: what :attr:`LatencyRecord.ranges` speaks of."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Errors(_Record):
    """Relative errors on networks that the fit never saw, against the RTL's cycles.

    Parameters
    ----------
    mape, max : float
        Mean and largest absolute error, fractions.
    bias : float
        Mean signed error.
    tau : float
        Kendall's rank correlation of predicted and measured cycles.
    n : int
        Networks.
    """

    mape: float
    max: float
    bias: float
    tau: float
    n: int

    @classmethod
    def of(cls, predicted: np.ndarray, measured: np.ndarray) -> "Errors":
        """Compare cycles; ``tau`` is 1 for a single network."""
        from sim.calibration import Accuracy

        accuracy = Accuracy(np.asarray(predicted, float), np.asarray(measured, float))
        return cls(
            mape=accuracy.mape,
            max=accuracy.worst,
            bias=float(accuracy.errors.mean()),
            tau=accuracy.tau,
            n=len(measured),
        )


class HeldOut(BaseModel):
    """A network that the fit never saw: its sizes and memory, by name, and its cycles.

    Parameters
    ----------
    rtl, exact, vectorised : int
        On the RTL, and by the models.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    rtl: PositiveInt
    exact: PositiveInt
    vectorised: PositiveInt


class LatencyRecord(_Record):
    """The latency models on the board's engine.

    Parameters
    ----------
    engine, engine_hash : str
    coefficients : dict of str to float
        Of :class:`nas.cost.latency.Coefficients`.
    ranges : dict of str to (float, float)
        Sizes and memories that were fitted: outside of them, a prediction is an extrapolation.
    exact, vectorised : Errors
        Of the compiler's timing model, and of the search's.
    units : dict of str to dict
        By unit, cycles from an instruction's predicted end to its last write: ``median``, a
        constant of the pipeline, ``spread`` from the 5th to the 95th percentile, ``n``.
    held_out : list of HeldOut
        The networks behind the errors.
    """

    engine: str
    engine_hash: str
    coefficients: dict[str, float]
    ranges: dict[str, Range]
    exact: Errors
    vectorised: Errors
    units: dict[str, dict[str, float]]
    held_out: list[HeldOut]


class ResourceErrors(_Record):
    """Errors on engines that the fit never saw, against Yosys.

    Parameters
    ----------
    lut, ff : float
        Largest relative error.
    lut_mean, ff_mean : float
        Mean relative error.
    dsp, bram : int
        Engines whose count differs at all.
    n : int
        Engines.
    """

    lut: float
    ff: float
    lut_mean: float
    ff_mean: float
    dsp: int
    bram: int
    n: int

    @classmethod
    def of(cls, model: ResourceModel, engines: Sequence[CountedEngine]) -> "ResourceErrors":
        """Hold a model against engines that were counted."""
        pairs = [(model.predict(engine), used.total) for engine, used in engines]
        lut, ff = (
            [abs(getattr(ours, kind) / getattr(yosys, kind) - 1) for ours, yosys in pairs]
            for kind in FITTED
        )
        return cls(
            lut=max(lut),
            ff=max(ff),
            lut_mean=sum(lut) / len(lut),
            ff_mean=sum(ff) / len(ff),
            dsp=sum(ours.dsp != yosys.dsp for ours, yosys in pairs),
            bram=sum(ours.bram36 != yosys.bram36 for ours, yosys in pairs),
            n=len(pairs),
        )


class ResourceRecord(_Record):
    """The resource model for the board's kind of device.

    Parameters
    ----------
    model : dict
        As ``ResourceModel.to_json`` gives it.
    errors : ResourceErrors
    held_out : list of dict
        The engines behind the errors.
    """

    model: dict[str, Any]
    errors: ResourceErrors
    held_out: list[dict[str, Any]]


class Calibration(_Record):
    """All that ``python -m nas.calibrate`` finds out about a board.

    Parameters
    ----------
    schema_version : int
    board, device : str
    sources : dict of str to str
        Hashes of RTL, compiler and models at the time.
    latency : LatencyRecord
    resources : ResourceRecord
    candidates_per_s : float
        That the search's model predicts, on one core.
    speedup : float
        Of the exact model over the RTL simulation of DeiT-S's shape, or of the largest network
        that the engine runs.
    seconds : dict of str to float
        By stage and in ``total``, of all runs that measured.
    power : dict of str to float, optional
        Of :class:`nas.cost.energy.PowerModel`, from a vendor's report; without it, energy is
        uncalibrated.
    """

    schema_version: Literal[1] = SCHEMA
    board: str
    device: str
    sources: dict[str, str]
    latency: LatencyRecord
    resources: ResourceRecord
    candidates_per_s: float
    speedup: float
    seconds: dict[str, float]
    power: dict[str, float] | None = None

    # ------------------------------------------------------------ file

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Read a file.

        Raises
        ------
        UserError
            If it is missing, damaged, or of another version.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            version = data.get("schema_version") if isinstance(data, dict) else None
            if version != SCHEMA:
                raise UserError(
                    f"calibration of version {version!r}, expected {SCHEMA}:"
                    " run python -m nas.calibrate again"
                )
            found = cls.model_validate(data)
            Coefficients.from_json(found.latency.coefficients)
            ResourceModel.from_json(found.resources.model)
            if lacking := set(SIZES).difference(found.latency.ranges):
                raise ValueError(f"latency.ranges lacks {min(lacking)!r}")
            return found
        except FileNotFoundError:
            raise UserError(f"no calibration {path}: python -m nas.calibrate makes it") from None
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(
                f"{path}: {where}: {first['msg'].lower()}: run python -m nas.calibrate again"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: damaged: {error}: run python -m nas.calibrate again"
            ) from None

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        with atomic_write(path, "w") as file:
            json.dump(self.model_dump(mode="json"), file, indent=1)
            file.write("\n")

    # ------------------------------------------------------------ use

    def stale(self) -> list[str]:
        """Parts of the code that have changed since: ``rtl``, ``compiler``, ``model``."""
        now = source_hashes()
        return [part for part, value in self.sources.items() if now.get(part) != value]

    def require(self, board: Board) -> None:
        """Refuse another board's calibration.

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

    def warning(self, board: Board) -> str | None:
        """One line about what has changed, for a command to print."""
        changed = self.stale()
        if not changed:
            return None
        return (
            f"the calibration of board '{self.board}' is older than the {', '.join(changed)} code:"
            f" its errors may not hold, python -m nas.calibrate --board {board.option} renews it"
        )

    @property
    def power_model(self) -> PowerModel | None:
        """Energy of an image by its work; None: uncalibrated."""
        return PowerModel(**self.power) if self.power else None

    @property
    def resource_model(self) -> ResourceModel:
        """Of the board's kind of device."""
        return ResourceModel.from_json(self.resources.model)

    def latency_model(self, engine: EngineConfig) -> LatencyModel:
        """The search's model of an engine, with the coefficients of the board's own."""
        coefficients = Coefficients.from_json(self.latency.coefficients)
        return LatencyModel(engine, unit_latencies(engine), coefficients)


def extrapolates(ranges: dict[str, Range], shape: NetworkShape, memory: MemoryTiming) -> list[str]:
    """Sizes of a network, or its memory's, that lie outside the ranges of a fit; in words."""
    return [
        f"{name} {value:g} outside {low:g} to {high:g}"
        for name, value in sizes_in_ranges(shape, memory).items()
        for low, high in [ranges[name]]
        if not low <= value <= high
    ]


def sizes_in_ranges(shape: NetworkShape, memory: MemoryTiming) -> dict[str, float]:
    """A network's :data:`SIZES`."""
    sizes = (
        shape.tokens,
        shape.patch_values,
        shape.width,
        shape.head_dim,
        len(shape.blocks),
        max(block.heads for block in shape.blocks),
        max(block.hidden for block in shape.blocks),
        shape.classes,
        float(shape.mean_pool),
        memory.bytes_per_cycle,
        memory.latency_cycles,
    )
    return dict(zip(SIZES, sizes, strict=True))


def find(board: Board) -> Calibration | None:
    """The calibration of a board, if there is one beside the board's file.

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
    """Energy by work.

    Raises
    ------
    UserError
        If no power report was imported for the board.
    """
    found = find(board)
    if found is None or found.power_model is None:
        raise UserError(
            f"energy is uncalibrated on board '{board.name}': import a power report with"
            f" python -m nas.calibrate --board {board.option} --power REPORT --network MODEL"
        )
    return found.power_model


@cache
def _load(path: Path, changed: int) -> Calibration:
    """Read a file once, and again when it has changed."""
    return Calibration.load(path)
