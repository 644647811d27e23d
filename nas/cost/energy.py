"""Dynamic energy of an image, by the products of the array and one power report."""

import re
from pathlib import Path

from nas.cost.records import CalibrationRecord
from rtl.build.utilization import read_report
from rtl.errors import UserError
from rtl.timing.traffic import Work

DYNAMIC_POWER = re.compile(r"^\|\s*Dynamic \(W\)\s*\|\s*([0-9.]+)\s*\|", re.MULTILINE)


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
