"""The ladder of ablations: what each step of the quantization is worth, on images left out.

Three times, a third of the calibration photographs is left out, the network is quantized on the
others, and its error is measured on those. The test crops are not looked at: so a step, or the
value of an option, can be chosen here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from rich.table import Table
from scipy import stats

from nas.cost import HardwareTarget
from nas.importer.network import converted
from nas.quantize.job import quantize
from nas.quantize.method import NAIVE, Method
from nas.quantize.trials import relative_error
from nas.vit.example import Example
from nas.vit.photographs import CALIBRATION, CROPS
from rtl.console import table

FOLDS = 3
WEIGHTS = ("4", "8")


@dataclass(frozen=True)
class Rung:
    """A step of the ladder.

    Parameters
    ----------
    name : str
    changes : dict
        Options of :class:`Method` that change.
    stays : bool
        Whether later rungs have these changes, too. Each is compared with the last one that stays.
    """

    name: str
    changes: dict[str, object]
    stays: bool = True


RIDGES = (0.3, 1.0, 10.0)
LADDER = (
    Rung("naive: every weight at its nearest", {}),
    Rung("biases corrected", {"correct_bias": True}),
    Rung("rotation, Hadamard per head", {"rotate": True}),
    Rung("keys and values centred", {"centre": True}),
    Rung("context with a scale per head", {"context_per_head": True}),
    Rung("two GELU tables", {"tables": 2}),
    Rung("rows compensated", {"rounding": "compensated"}),
    Rung("rows by coordinate descent", {"rounding": "descended"}),
    Rung("another rotation", {"seed": 1}, stays=False),
    Rung("least squares, ridge 3", {"least_squares": True}),
    *(Rung(f"ridge {ridge:g}", {"ridge": ridge}, stays=False) for ridge in RIDGES),
)


@dataclass(frozen=True)
class Climbed:
    """A rung that was measured.

    Parameters
    ----------
    rung : Rung
    errors : (photographs,) float64
        Relative errors of the final tokens.
    before : (photographs,) float64, optional
        Those of the rung that it is compared with.
    """

    rung: Rung
    errors: np.ndarray
    before: np.ndarray | None

    @property
    def change(self) -> tuple[float, float, float]:
        """Mean relative change of the error, paired by photograph, and its 95 % interval."""
        assert self.before is not None
        ratios = np.log(self.errors / self.before)
        interval = stats.ttest_1samp(ratios, 0.0).confidence_interval()
        mean, low, high = np.expm1([ratios.mean(), interval.low, interval.high]).tolist()
        return mean, low, high


def climb(
    example: Example,
    weights: str,
    rungs: Sequence[Rung] = LADDER,
    *,
    crops: int = CROPS[CALIBRATION],
    folds: int = FOLDS,
) -> list[Climbed]:
    """Measure each rung, unless that is done.

    Parameters
    ----------
    example : Example
    weights : str
        ``4`` or ``8`` bits in every row.
    rungs : sequence of Rung
    crops : int
        Pictures of one photograph; they lie side by side.
    folds : int
        Each photograph is left out once.
    """
    found: list[Climbed] = []
    method, before = NAIVE, None
    for rung in rungs:
        tried = replace(method, **rung.changes)
        errors = example.once(
            f"ladder, {weights} bits: {rung.name}",
            [asdict(tried), weights, crops, folds],
            lambda tried=tried: errors_left_out(example, weights, tried, crops, folds),
        )
        found.append(Climbed(rung, np.asarray(errors), before))
        if rung.stays:
            method, before = tried, found[-1].errors
    return found


def errors_left_out(
    example: Example, weights: str, method: Method, crops: int, folds: int
) -> list[float]:
    """Return the relative error on each photograph, quantized on those of the other folds."""
    images = example.calibration_images.split(crops)
    hardware = HardwareTarget.load(example.board)
    network = converted(example.network, torch.float32)
    errors = [0.0] * len(images)
    for fold in range(folds):
        others = torch.cat([each for index, each in enumerate(images) if index % folds != fold])
        done = quantize(example.network, others, hardware, weights=weights, method=method)
        for index in range(fold, len(images), folds):
            errors[index] = relative_error(network, done.quantized, images[index])
    return errors


def ladder_table(weights: str, climbed: Sequence[Climbed]) -> Table:
    """Make the table of a ladder."""
    columns = ("step", "rel", "change %", "95 %")
    caption = "rel: error of the final tokens on photographs that were left out; ( ): not kept on"
    title = f"{weights}-bit weights, each step against the one before"
    rows = table(*columns, text=columns[:1], title=title, caption=caption)
    for each in climbed:
        name = each.rung.name if each.rung.stays else f"({each.rung.name})"
        cells = [name, f"{each.errors.mean():.4f}"]
        if each.before is not None:
            mean, low, high = (100 * value for value in each.change)
            cells += [f"{mean:+.1f}", f"{low:+.1f}..{high:+.1f}"]
        rows.add_row(*cells)
    return rows
