"""Numbers to places on an axis, the numbers to write there, and numbers in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, log10

STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Axis:
    """A range of numbers on a range of places, linear or logarithmic.

    Parameters
    ----------
    low, high : float
        Ends of the range; positive on a logarithmic scale.
    start, end : float
        Their places, in units of the drawing.
    log : bool
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(
        cls,
        values: Iterable[float],
        start: float,
        end: float,
        *,
        log: bool = False,
        margin: float = 0.08,
    ) -> "Axis":
        """Return a scale that holds values, with ``margin`` of the range free at either end."""
        found = list(values)
        low, high = min(found), max(found)
        if log:
            factor = max(high / low, 1.2) ** margin
            return cls(low / factor, high * factor, start, end, True)
        more = margin * ((high - low) or abs(high) or 1.0)
        return cls(low - more, high + more, start, end)

    def __call__(self, value: float) -> float:
        part = (self._on(value) - self._on(self.low)) / (self._on(self.high) - self._on(self.low))
        return self.start + part * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Return about ``count`` round numbers within the range."""
        if self.log and self.high / self.low > 8:
            return self._powers(count)
        rough = (self.high - self.low) / max(count, 1)
        size = 10.0 ** floor(log10(rough))
        step = next(size * each for each in STEPS if size * each >= rough * 0.999)
        first = ceil(self.low / step - 1e-9)
        last = floor(self.high / step + 1e-9)
        return [round(place * step, 12) for place in range(first, last + 1)]

    def _powers(self, count: int) -> list[float]:
        """Return 1, 2, 5 times powers of ten, or powers alone where there are too many."""
        powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            found = [factor * 10.0**power for power in powers for factor in factors]
            inside = [value for value in found if self.low <= value <= self.high]
            if len(inside) <= count + 2:
                return inside
        return inside[:: ceil(len(inside) / count)]

    def _on(self, value: float) -> float:
        return log10(value) if self.log else value


def short(value: float) -> str:
    """Write a number with a letter for thousands and more: 1.43 M."""
    for limit, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """Write a share in percent, with one digit behind the point."""
    return f"{100 * share:.1f} %"
