"""Multiplexers and carry chains that share a slice with the LUT in front of them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from rtl.build.netlist.cells import Bit, Cell, all_nets
from rtl.build.netlist.kinds import CARRIES, CHAINS, LUTS, MULTIPLEXERS, SHARED_INPUTS

Place = tuple[str, str | int]  # a cell, and its pin or its bit


class Driver(NamedTuple):
    """The cell and the pin that a net comes from."""

    cell: Cell
    pin: str


class Slices:
    """Levels into a cell: 0 from what lies in front of it in its slice, otherwise 1.

    Parameters
    ----------
    cells : iterable of Cell
        The device's cells in a module.
    drivers : mapping of int to Driver
        Drivers of the module's nets.
    """

    def __init__(self, cells: Iterable[Cell], drivers: Mapping[int, Driver]) -> None:
        self._drivers = drivers
        self._places: dict[str, set[Place]] = defaultdict(set)  # of LUTs and multiplexers, by name
        self._di_places: dict[str, set[Place]] = defaultdict(set)
        for cell in cells:
            for place, bit in _behind_luts(cell):
                self._note(self._places, place, bit)
            if cell.kind in CARRIES:
                for n, bit in enumerate(cell.inputs.get("DI", ())):
                    self._note(self._di_places, (cell.name, n), bit)

    def _note(self, places: dict[str, set[Place]], place: Place, bit: Bit) -> None:
        if driver := self._driver(bit):
            places[driver.cell.name].add(place)

    def levels(self, kind: str, pin: str, bit: Bit) -> int:
        """Return the level from a net into a pin, but for those of :meth:`into_carry`."""
        driver = self._driver(bit)
        if driver is None:
            return 1
        source = driver.cell
        if kind in CHAINS and pin == CHAINS[kind][1]:
            return int(source.kind not in CHAINS or driver.pin != CHAINS[source.kind][0])
        if pin in MULTIPLEXERS.get(kind, ()):
            is_inside = source.kind in LUTS or source.kind in MULTIPLEXERS
            return int(not is_inside or len(self._places[source.name]) > 1)
        return 1

    def into_carry(self, cell: Cell, n: int) -> tuple[int, int]:
        """Return the levels from the nets at ``S`` and ``DI`` into bit ``n`` of a chain.

        A LUT stands before the one ``S`` that it drives; whatever else it drives is elsewhere.
        """
        s, di = cell.inputs["S"][n], cell.inputs["DI"][n]
        s_lut, di_lut = self._lut(s), self._lut(di)
        if s_lut and len(self._places[s_lut.cell.name]) > 1:
            s_lut = None
        if di_lut and self._all_places(di_lut) != {(cell.name, n)}:
            di_lut = None
        return int(s_lut is None), int(di_lut is None or not _share(s, s_lut, di_lut))

    def _driver(self, bit: Bit) -> Driver | None:
        return self._drivers.get(bit) if isinstance(bit, int) else None

    def _lut(self, bit: Bit) -> Driver | None:
        driver = self._driver(bit)
        return driver if driver and driver.cell.kind in LUTS else None

    def _all_places(self, driver: Driver) -> set[Place]:
        return self._places[driver.cell.name] | self._di_places[driver.cell.name]


def _behind_luts(cell: Cell) -> Iterator[tuple[Place, Bit]]:
    """Yield the places of a cell right behind a LUT of its slice, and their nets."""
    for pin in MULTIPLEXERS.get(cell.kind, ()):
        yield from (((cell.name, pin), bit) for bit in cell.inputs.get(pin, ()))
    if cell.kind in CARRIES:
        yield from (((cell.name, n), bit) for n, bit in enumerate(cell.inputs["S"]))


def _share(s: Bit, s_lut: Driver | None, di_lut: Driver) -> bool:
    """Tell whether one LUT gives ``S`` (perhaps only passing it on) and what drives ``DI``."""
    if s_lut and s_lut.cell.name == di_lut.cell.name and s_lut.pin != di_lut.pin:
        return True
    s_inputs = set(all_nets(s_lut.cell.inputs)) if s_lut else {s} - {"0", "1", "x", "z"}
    return len(s_inputs | set(all_nets(di_lut.cell.inputs))) <= SHARED_INPUTS
