"""Dynamic energy of an image, by the products of the array and one power report."""

import re
from dataclasses import dataclass
from typing import Any

from rtl.errors import UserError
from rtl.timing.traffic import Work

DYNAMIC_POWER = re.compile(r"^\|\s*Dynamic \(W\)\s*\|\s*([0-9.]+)\s*\|", re.MULTILINE)


@dataclass(frozen=True)
class PowerModel:
    """Dynamic energy in proportion to the array's products.

    Parameters
    ----------
    joules_per_product : float
        Energy of one product with a 4-bit weight, all other activity of the engine included.
    """

    joules_per_product: float

    @classmethod
    def of_report(cls, report: str, work: Work, images_per_second: float) -> "PowerModel":
        """Read the energy of a product from the power report of a run.

        Parameters
        ----------
        report : str
            Text of Vivado's ``report_power``, with the activity of the run.
        work : Work
            Work of one image of the run.
        images_per_second : float
            Frame rate of the run.

        Raises
        ------
        UserError
            If the text has no dynamic power, or the run no frame rate.
        """
        found = DYNAMIC_POWER.search(report)
        if not found:
            raise UserError(
                "no report of Vivado's report_power: no row 'Dynamic (W)' in its summary"
            )
        if not float(found[1]):
            raise UserError("row 'Dynamic (W)': 0, no power of an engine that runs")
        if images_per_second <= 0:
            raise UserError(f"the run's frame rate must be positive, not {images_per_second:g}")
        return cls(float(found[1]) / (work.products * images_per_second))

    def joules(self, products: Any) -> Any:
        """Energy of a number of products, as :attr:`Work.products` counts them."""
        return products * self.joules_per_product


def energy(work: Work, power: PowerModel | None) -> float | None:
    """Dynamic energy of an image in joules; None without a power model: uncalibrated."""
    return None if power is None else power.joules(work.products)
