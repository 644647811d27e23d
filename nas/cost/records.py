"""The parts of a calibration file: predicted and measured cycles and resources, energy."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveInt

from nas.cost.subnets import Sample
from rtl.build.synthesis import Resources
from rtl.build.utilization import read_report
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.files import sha256_of
from rtl.model.shape import NetworkShape
from rtl.resources.model import FITTED, CountedEngine, ResourceModel
from rtl.timing import MemoryTiming
from rtl.timing.traffic import Work

DYNAMIC_POWER = re.compile(r"^\|\s*Dynamic \(W\)\s*\|\s*([0-9.]+)\s*\|", re.MULTILINE)
SEED_HELD_OUT = 4  # of the networks and engines whose errors a calibration states

Range = tuple[float, float]

SIZES: dict[str, Callable[[NetworkShape, MemoryTiming], float]] = {
    "tokens": lambda shape, _: shape.tokens,
    "patch_values": lambda shape, _: shape.patch_values,
    "width": lambda shape, _: shape.width,
    "head_dim": lambda shape, _: shape.head_dim,
    "depth": lambda shape, _: len(shape.blocks),
    "most_heads": lambda shape, _: max(block.heads for block in shape.blocks),
    "most_hidden": lambda shape, _: max(block.hidden for block in shape.blocks),
    "classes": lambda shape, _: shape.classes,
    "mean_pool": lambda shape, _: float(shape.mean_pool),
    "bytes_per_cycle": lambda _, memory: memory.bytes_per_cycle,
    "latency_cycles": lambda _, memory: memory.latency_cycles,
}
"""Sizes of a network and its memory that :attr:`LatencyRecord.ranges` limits."""


class CalibrationRecord(BaseModel):
    """A part of a calibration file; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Errors(CalibrationRecord):
    """Relative errors of predicted cycles against those of the RTL.

    Parameters
    ----------
    mape, max : float
        Mean and largest absolute error, fractions.
    bias : float
        Mean signed error.
    tau : float
        Kendall's rank correlation of predicted and measured cycles.
    n : int
        Number of networks.
    """

    mape: float
    max: float
    bias: float
    tau: float
    n: int

    @classmethod
    def of(cls, held_out: Sequence["HeldOut"]) -> "Errors":
        """Compare the cycles of networks; ``tau`` is 1 for a single network."""
        from scipy.stats import kendalltau  # takes long to load, and only calibrations need it

        ours, rtl = np.array([(row.predicted, row.rtl) for row in held_out], float).T
        errors = ours / rtl - 1
        return cls(
            mape=float(np.abs(errors).mean()),
            max=float(np.abs(errors).max()),
            bias=float(errors.mean()),
            tau=float(kendalltau(ours, rtl).statistic) if len(held_out) > 1 else 1.0,
            n=len(held_out),
        )


class HeldOut(BaseModel):
    """A network that was measured: its :data:`SIZES` by name, its program and its cycles.

    Parameters
    ----------
    rtl, predicted : int
        Cycles of an image on the RTL, and by the timing model.
    program : str
        Hash of the instructions: the cycles hold as long as the compiler emits them.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    rtl: PositiveInt
    predicted: PositiveInt
    program: str

    @classmethod
    def of(cls, sample: Sample, engine: EngineConfig, rtl: int) -> "HeldOut":
        """Predict a network that took ``rtl`` cycles."""
        program, cycles = predicted(sample, engine)
        sizes = sizes_in_ranges(sample.shape, sample.memory)
        return cls(rtl=rtl, predicted=cycles, program=program, **sizes)


@cache
def predicted(sample: Sample, engine: EngineConfig) -> tuple[str, int]:
    """Return the hash of a network's instructions, and its cycles by the timing model."""
    program, prediction = sample.predicted(engine)
    return sha256_of(program.code)[:16], prediction.cycles


def extrapolates(ranges: dict[str, Range], shape: NetworkShape, memory: MemoryTiming) -> list[str]:
    """Return the sizes of a network or of its memory that lie outside of ranges, in words."""
    return [
        f"{name} {value:g} outside {low:g} to {high:g}"
        for name, value in sizes_in_ranges(shape, memory).items()
        for low, high in [ranges[name]]
        if not low <= value <= high
    ]


def sizes_in_ranges(shape: NetworkShape, memory: MemoryTiming) -> dict[str, float]:
    """Return the :data:`SIZES` of a network and its memory."""
    return {name: size(shape, memory) for name, size in SIZES.items()}


class LatencyRecord(CalibrationRecord):
    """Cycles of networks on the board's engine.

    Parameters
    ----------
    engine, engine_hash : str
        Name of the engine, and hash of its sizes.
    verilog : str
        Hash of the engine's Verilog, of which the simulation was made.
    ranges : dict of str to (float, float)
        Lowest and highest of each of the networks' :data:`SIZES`: outside of them, a prediction is
        an extrapolation.
    errors : Errors
        Errors of the timing model.
    units : dict of str to dict
        By unit, cycles from the predicted end of an instruction to its last write: ``median``, a
        constant of the pipeline, ``spread`` from the 5th to the 95th percentile, ``n``.
    held_out : list of HeldOut
        The networks behind the errors: the first of :func:`nas.cost.subnets.sample_subnets` with
        the seed :data:`SEED_HELD_OUT`.
    """

    engine: str
    engine_hash: str
    verilog: str
    ranges: dict[str, Range]
    errors: Errors
    units: dict[str, dict[str, float]]
    held_out: list[HeldOut]

    @classmethod
    def of(
        cls,
        engine: EngineConfig,
        verilog: str,
        units: dict[str, dict[str, float]],
        held_out: list[HeldOut],
    ) -> "LatencyRecord":
        """Derive ranges and errors from the networks that were measured."""
        ranges = {name: [getattr(row, name) for row in held_out] for name in SIZES}
        return cls(
            engine=engine.name,
            engine_hash=f"{engine.hash:016x}",
            verilog=verilog,
            ranges={name: (min(values), max(values)) for name, values in ranges.items()},
            errors=Errors.of(held_out),
            units=units,
            held_out=held_out,
        )


class ResourceErrors(CalibrationRecord):
    """Errors of the resource model on engines that it was not fitted to, against Yosys.

    Parameters
    ----------
    lut, ff : float
        Largest relative error.
    lut_mean, ff_mean : float
        Mean relative error.
    dsp, bram, uram : int
        Number of engines whose count differs at all; files from before UltraRAM lack ``uram``.
    n : int
        Number of engines.
    """

    lut: float
    ff: float
    lut_mean: float
    ff_mean: float
    dsp: int
    bram: int
    n: int
    uram: int = 0

    @classmethod
    def of(cls, model: ResourceModel, engines: Sequence[CountedEngine]) -> "ResourceErrors":
        """Compare a model with engines whose resources were counted."""
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
            uram=sum(ours.uram != yosys.uram for ours, yosys in pairs),
            n=len(pairs),
        )


class ResourceRecord(CalibrationRecord):
    """The resource model for the board's kind of device.

    Parameters
    ----------
    model : dict
        The model, as ``ResourceModel.to_json`` gives it.
    errors : ResourceErrors
        Errors on the held-out engines.
    held_out : list of dict
        The engines behind the errors: ``engine``, ``yosys``, ``predicted``.
    """

    model: dict[str, Any]
    errors: ResourceErrors
    held_out: list[dict[str, Any]]

    @classmethod
    def of(cls, model: ResourceModel, counted: Sequence[CountedEngine]) -> "ResourceRecord":
        """Compare a model with engines that it was not fitted to."""
        rows = [
            {
                "engine": engine.to_json(),
                "yosys": asdict(used.total),
                "predicted": asdict(model.predict(engine)),
            }
            for engine, used in counted
        ]
        errors = ResourceErrors.of(model, counted)
        return cls(model=model.to_json(), errors=errors, held_out=rows)

    def outdated(self, count: int) -> bool:
        """Whether the model's code predicts the first ``count`` held-out engines differently."""
        model = replace(ResourceModel.from_json(self.model), scales={})
        return any(
            model.predict(EngineConfig(**row["engine"])) != Resources(**row["predicted"])
            for row in self.held_out[:count]
        )


class PowerModel(CalibrationRecord):
    """Dynamic energy in proportion to the array's products.

    Parameters
    ----------
    joules_per_product : float
        Energy of one product with a 4-bit weight, all other activity of the engine included.
    """

    joules_per_product: float

    @classmethod
    def of_report(cls, report: Path, work: Work, images_per_second: float) -> "PowerModel":
        """Read the energy of a product from the power report of a run.

        Parameters
        ----------
        report : Path
            Text file of Vivado's ``report_power``, with the activity of the run.
        work : Work
            Work of one image of the run.
        images_per_second : float
            Frame rate of the run.

        Raises
        ------
        UserError
            If the report cannot be read or has no dynamic power, or the run no frame rate.
        """
        found = DYNAMIC_POWER.search(read_report(report))
        if not found:
            raise UserError(
                f"{report}: no report of Vivado's report_power: no row 'Dynamic (W)' in its summary"
            )
        if not float(found[1]):
            raise UserError(f"{report}: row 'Dynamic (W)': 0, no power of an engine that runs")
        if images_per_second <= 0:
            raise UserError(f"the run's frame rate must be positive, not {images_per_second:g}")
        return cls(joules_per_product=float(found[1]) / (work.products * images_per_second))

    def joules(self, products: float) -> float:
        """Energy of a number of products, as :attr:`Work.products` counts them."""
        return products * self.joules_per_product
