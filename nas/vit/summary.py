"""``summary.json``: every published figure of the example, in a versioned schema."""

from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from rtl.files import atomic_write

SUMMARY = "summary.json"
SCHEMA = 1
DISTRIBUTIONS = ("numpy", "torch", "onnxruntime", "pillow", "scikit-learn", "timm")

Interval = tuple[float, float]


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RowFigures(_Figures):
    """The network quantized in one way, against float on the test crops.

    Parameters
    ----------
    name : str
    cos, corr, rel : float
        As :class:`nas.vit.maps.Closeness` has them.
    cycles : int
        Exact cycles per image, dense output included.
    seconds : float
        From the float network's file to the model's.
    peak_bytes : int
        Most memory of that process.
    """

    name: str
    cos: float
    corr: float
    rel: float
    cycles: PositiveInt
    seconds: float
    peak_bytes: PositiveInt


class AccuracyFigures(_Figures):
    """Accuracy on digits, as :class:`nas.vit.digits.RowAccuracy` has it."""

    name: str
    accuracy: float
    difference: float
    interval: Interval
    agreement: float


class NoiseFigures(_Figures):
    """Noise of W8A6, as :class:`nas.evaluate.noise.NoiseBudget` has it.

    Parameters
    ----------
    total : float
        Of everything together, rel.
    root_of_squares : float
        Of the single sources' noises.
    sources : dict of str to float
        Each by itself.
    """

    total: float
    root_of_squares: float
    sources: dict[str, float]


class DigitFigures(_Figures):
    """A small network trained on the digits.

    Parameters
    ----------
    accuracy : float
        Of the float network.
    seconds : float
        Of its training.
    cycles : dict of str to int
    rows : tuple of AccuracyFigures
    """

    accuracy: float
    seconds: float
    cycles: dict[str, int]
    rows: tuple[AccuracyFigures, ...]


class EngineFigures(_Figures):
    """A photograph on the simulated engine, as :class:`nas.vit.engine.SimulatedImage` has it."""

    photograph: str
    cycles: PositiveInt
    words: PositiveInt
    seconds: float


class VitSummary(_Figures):
    """Figures of the example.

    Parameters
    ----------
    inputs : dict of str to str
        SHA-256 of each input (:func:`nas.vit.inputs.input_hashes`).
    versions : dict of str to str
    import_error : float
        Largest difference of final tokens, import against ONNX Runtime on the source.
    rows, baselines : tuple of RowFigures
        The table, and what one would try first.
    random_tiles : tuple of RowFigures
        Like the row ``half``, with tiles taken by chance.
    random_ratio : float
        The row ``half``'s rel over the mean of theirs.
    noise : NoiseFigures
    probe_accuracy : float
        Of the linear probe on the float network's features.
    probe : tuple of AccuracyFigures
    digits : DigitFigures
    rtl : tuple of EngineFigures
    rtl_images, rtl_mismatches : int
        Photographs on the engine; instructions and words of the output that differed from golden.
    """

    schema_: Literal[1] = Field(SCHEMA, alias="schema")
    inputs: dict[str, str]
    versions: dict[str, str]
    import_error: float
    rows: tuple[RowFigures, ...]
    baselines: tuple[RowFigures, ...]
    random_tiles: tuple[RowFigures, ...]
    random_ratio: float
    noise: NoiseFigures
    probe_accuracy: float
    probe: tuple[AccuracyFigures, ...]
    digits: DigitFigures
    rtl: tuple[EngineFigures, ...]
    rtl_images: NonNegativeInt
    rtl_mismatches: NonNegativeInt

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        with atomic_write(path, "w") as file:
            file.write(self.model_dump_json(by_alias=True, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "VitSummary":
        """Read a file that :meth:`save` has written."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))


def versions() -> dict[str, Any]:
    """Return the versions of Python and of the packages that decide the figures' last digits."""
    return {"python": python_version()} | {name: version(name) for name in DISTRIBUTIONS}
